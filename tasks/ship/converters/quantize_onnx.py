"""Adds 8-bit weights to a Whisper in ONNX, as transformers.js looks for them.

Runs by its path, with nothing of this project: `quantize_onnx.py FOLDER`. Weights of matrix
products become 8-bit integers, activations are quantised as they come. For each file of
FOLDER/onnx, NAME.onnx, writes NAME_quantized.onnx beside it.
"""

import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Quantise the encoder and the decoder."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ModuleNotFoundError as error:  # an unfit version raises another ImportError
        sys.exit(f"missing {error.name}")
    for name in ("encoder_model", "decoder_model_merged"):
        quantize_dynamic(
            folder / "onnx" / f"{name}.onnx",
            folder / "onnx" / f"{name}_quantized.onnx",
            op_types_to_quantize=["MatMul"],  # convolutions in integers are slower than in floats
            weight_type=QuantType.QUInt8,
            extra_options={"EnableSubgraph": True},  # the decoder has one for its first token
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
