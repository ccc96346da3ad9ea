"""The encoder's forward pass against that of transformers."""

import torch

from tasks.whisper.encoding.encoder import EncoderLayers


def test_its_output_is_that_of_transformers(make_whisper, make_features):
    model, features = make_whisper(3), make_features(5)
    with torch.inference_mode():
        expected = model.model.encoder(features).last_hidden_state
    torch.testing.assert_close(
        EncoderLayers(model.model.encoder)(features), expected, rtol=1e-4, atol=1e-5
    )


def test_a_window_does_not_depend_on_its_batch(make_whisper, make_features):
    encode, features = EncoderLayers(make_whisper(3).model.encoder), make_features(4)
    together = encode(features)
    for index in range(len(features)):
        assert torch.equal(encode(features[index : index + 1])[0], together[index])
