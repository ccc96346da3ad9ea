import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from tasks.whisper.encoding.features import LogMel

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
