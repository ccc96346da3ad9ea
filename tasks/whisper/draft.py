"""Which draft models suit a teacher: same tokens, same features, perhaps the same encoder."""

import torch
from transformers import WhisperForConditionalGeneration

from storage.errors import UserError
from tasks.whisper.model import LoadedWhisper


def require_compatible_draft(teacher: LoadedWhisper, draft: LoadedWhisper) -> None:
    """Raise `UserError` if the draft's tokens or features differ from the teacher's."""
    if teacher.tokenizer.get_vocab() != draft.tokenizer.get_vocab():
        difference = "another tokenizer"
    elif (bands := draft.model.config.num_mel_bins) != teacher.model.config.num_mel_bins:
        difference = f"{bands} mel bands, the teacher {teacher.model.config.num_mel_bins}"
    elif draft.window_samples != teacher.window_samples:
        difference = (
            f"windows of {draft.window_samples} samples, the teacher {teacher.window_samples}"
        )
    else:
        return
    raise UserError(
        f"the draft model cannot draft for the teacher: it has {difference}; use a student of this"
        " teacher, or set runtime.label_draft to null"
    )


def shares_encoder(
    teacher: WhisperForConditionalGeneration, draft: WhisperForConditionalGeneration
) -> bool:
    """Whether both encoders have the same weights, so that audio is encoded once for both."""
    ours, theirs = (one.model.encoder.state_dict() for one in (teacher, draft))
    return ours.keys() == theirs.keys() and all(
        ours[name].shape == theirs[name].shape and torch.equal(ours[name], theirs[name])
        for name in ours
    )


def encodes_alike(one: LoadedWhisper, other: LoadedWhisper) -> bool:
    """Whether two models have the same encoder output for the same audio."""
    return (
        one.window_samples == other.window_samples
        and one.model.dtype == other.model.dtype
        and one.model.device == other.model.device
        and shares_encoder(one.model, other.model)
    )
