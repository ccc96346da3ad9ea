import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from tasks.whisper.encoding.features import LogMel
from tasks.whisper.excerpt import Excerpt

WINDOW_SAMPLES = 32_000


def extractor_of(num_mels):
    return WhisperFeatureExtractor(feature_size=num_mels, chunk_length=2)


def made(extractor, waveforms, dtype=torch.float32):
    return LogMel(extractor, torch.device("cpu"), dtype)(waveforms)


@pytest.mark.parametrize("num_mels", [80, 128])
@pytest.mark.parametrize("num_samples", [1, 250, 16_000, 31_300, 31_799, WINDOW_SAMPLES])
def test_features_equal_the_reference_implementation(num_mels, num_samples):
    draw = np.random.default_rng(num_samples)
    loud = draw.normal(0, 0.2, num_samples).astype(np.float32)
    faint = (1e-4 * loud[: num_samples // 2 + 1]).astype(np.float32)
    waveforms = [loud, faint, np.zeros(num_samples, np.float32)]
    extractor = extractor_of(num_mels)
    reference = extractor(waveforms, sampling_rate=16_000, return_tensors="pt").input_features
    found = made(extractor, waveforms)
    assert found.shape == (3, num_mels, 200)
    assert torch.allclose(found, reference, atol=1e-4, rtol=0)


def test_features_have_the_dtype_of_the_model():
    waveforms = [np.zeros(100, np.float32)]
    assert made(extractor_of(80), waveforms, torch.bfloat16).dtype == torch.bfloat16


def test_audio_longer_than_a_window_is_refused():
    """Defect 9: the feature extractor would truncate it silently."""
    with pytest.raises(ValueError, match="32001 samples, but the window 32000"):
        made(extractor_of(80), [np.zeros(WINDOW_SAMPLES + 1, np.float32)])


def of_openai_whisper(recording, extractor):
    """Features of a recording and their peak, as `log_mel_spectrogram` in openai/whisper."""
    samples = torch.cat([torch.from_numpy(recording), torch.zeros(WINDOW_SAMPLES)])
    window = torch.hann_window(400)
    power = torch.stft(samples, 400, 160, window=window, return_complex=True)[:, :-1].abs() ** 2
    filters = torch.from_numpy(extractor.mel_filters.T.astype(np.float32))
    log_mel = (filters @ power).clamp(min=1e-10).log10()
    features = (log_mel.maximum(log_mel.max() - 8.0) + 4.0) / 4.0
    return features[:, : len(recording) // 160], log_mel.max().item()


@pytest.mark.parametrize("num_samples", [1_000, 32_000, 31_990, 64_000, 99_999])
def test_features_of_excerpts_are_those_of_openai_whisper(num_samples):
    draw = np.random.default_rng(num_samples)
    recording = draw.normal(0, 0.01, num_samples).astype(np.float32)
    recording[: num_samples // 3] *= 30  # the loudest part is in other windows
    extractor = extractor_of(80)
    log_mel = LogMel(extractor, torch.device("cpu"), torch.float32)
    expected, peak = of_openai_whisper(recording, extractor)
    assert log_mel.peak(recording) == pytest.approx(peak, abs=1e-4)
    seeks = [seek for seek in (0, 2, 134, 200, 398) if seek < num_samples // 160]
    starts = [(160 * seek, min(160 * seek + WINDOW_SAMPLES, num_samples)) for seek in seeks]
    found = log_mel(
        [recording[start:end] for start, end in starts],
        excerpts=[Excerpt.between(recording, start, end, peak) for start, end in starts],
    )
    for seek, features in zip(seeks, found, strict=True):
        segment = expected[:, seek : seek + 200]
        padded = torch.nn.functional.pad(segment, (0, 200 - segment.shape[1]))
        assert torch.allclose(features, padded, atol=1e-4, rtol=0)


def test_excerpts_change_no_other_features_of_their_batch():
    draw = np.random.default_rng(0)
    first, second = (draw.normal(0, 0.1, 20_000).astype(np.float32) for _ in range(2))
    log_mel = LogMel(extractor_of(80), torch.device("cpu"), torch.float32)
    together = log_mel([first, second], excerpts=[None, Excerpt(second, second, 5.0)])
    assert torch.equal(together[0], log_mel([first])[0])


def test_the_peak_of_a_recording_without_samples_is_silence():
    log_mel = LogMel(extractor_of(80), torch.device("cpu"), torch.float32)
    assert log_mel.peak(np.zeros(0, np.float32)) == pytest.approx(-10.0)
