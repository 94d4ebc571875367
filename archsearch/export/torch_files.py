"""Files that torch reads: an exported program, which needs no class of ours, and the weights alone."""

from __future__ import annotations

import copy
import io
import warnings

import safetensors.torch
import torch
from torch import Tensor, nn

from archsearch.errors import BuildError
from archsearch.export.metadata import ExportMetadata

_METADATA_FILE = "archsearch.json"
_EXPORT_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def write_program(model: nn.Module, example: Tensor, metadata: ExportMetadata) -> bytes:
    """A `torch.export` program for any number of images; the facts stand in its file `archsearch.json`.

    Raises BuildError if torch.export cannot follow the network.
    """
    import json

    own = copy.deepcopy(model).eval().cpu()
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(own, (example,), dynamic_shapes=({0: batch},), strict=False)
            file = io.BytesIO()
            torch.export.save(program, file, extra_files={_METADATA_FILE: json.dumps(metadata.as_text())})
    except _EXPORT_FAILURES as error:
        raise BuildError(f"{metadata.name} cannot be exported by torch.export: {str(error).splitlines()[0]}") from error
    return file.getvalue()


def run_program(content: bytes, images: Tensor) -> Tensor:
    """What a saved program gives for images (N, 3, H, W): logits (N, classes)."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: Tensor = torch.export.load(io.BytesIO(content)).module()(images)
    return made


def write_state(model: nn.Module, metadata: ExportMetadata) -> bytes:
    """The weights as safetensors, with the facts in its header."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return safetensors.torch.save(state, metadata=metadata.as_text())


def run_state(content: bytes, images: Tensor, model: nn.Module) -> Tensor:
    """What the network gives for images (N, 3, H, W) with a file's weights; `model` itself keeps its own."""
    own = copy.deepcopy(model).eval().cpu()
    own.load_state_dict(safetensors.torch.load(content))
    with torch.inference_mode():
        made: Tensor = own(images)
    return made
