import numpy as np

from tasks.evaluate.timing import Timing, compare_speed, decoder_layers, num_parameters
from tasks.whisper.whisper import WhisperEngine


def test_the_median_round_counts():
    timing = Timing(teacher_rounds_s=(4.0, 90.0, 6.0), student_rounds_s=(1.0, 2.0, 50.0), audio_s=9)
    assert (timing.teacher_s, timing.student_s, timing.relative_speed) == (6.0, 2.0, 3.0)


def test_models_alternate_on_the_same_speech(tiny_teacher, label_settings):
    waveforms = [np.zeros(16_000, np.float32)] * 3
    engine = WhisperEngine(tiny_teacher, 2)
    timing = compare_speed(engine, engine, waveforms, label_settings, num_rounds=3)
    assert len(timing.teacher_rounds_s) == len(timing.student_rounds_s) == 3
    assert min(timing.teacher_rounds_s + timing.student_rounds_s) > 0
    assert timing.audio_s == 3.0


def test_sizes_count_tied_weights_once(tiny_teacher):
    model = tiny_teacher.model
    assert decoder_layers(tiny_teacher) == 2
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight
    assert num_parameters(tiny_teacher) == sum(
        parameter.numel() for parameter in model.model.parameters()
    )
