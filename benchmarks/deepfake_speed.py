"""Speed and memory of the detectors at full size: python -m benchmarks.deepfake_speed [--rounds N]

Networks of `profile=full` with random weights, which cost what published ones do.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

import av
import numpy as np
import timm
import torch
from hydra.utils import instantiate
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.fits import composed
from benchmarks.results import Cell, Table, count_cell, number_cell, write_result
from benchmarks.timing import alternate
from hallmark.data.images import decoded_images, read_image
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.storage.hashing import digest_file
from hallmark.systems.deepfake import FeatureExtractor
from hallmark.systems.deepfake.genconvit.memory import step_bytes
from hallmark.systems.deepfake.videos import extract_frames

MEMBERS = {
    "stage 1, MobileNetV4": "deepfake_stage1", "EfficientNetV2-B3": "deepfake_effnet",
    "GenConViT ED": "deepfake_genconvit_ed", "GenConViT VAE": "deepfake_genconvit_vae",
}  # fmt: skip
FRAMES, PASSED = 16, 6  # of so many frames the experts of the cascade see so many
STEP = 4  # frames of the GenConViT step
PICTURES = 32
EXTRACTED = "mobilenetv4_conv_small.e2400_r224_in1k"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)  # of the process that measures memory
    arguments = parser.parse_args()
    if arguments.step:
        print(step_in_bytes(member("deepfake_genconvit_ed")))
        return
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        decoding = decoded(Path(scratch), arguments.rounds)
        extraction = extracted(Path(scratch), arguments.rounds)
    stated, measured = memory()
    write_result(
        "deepfake_speed",
        rows=f"Processor time, median of {arguments.rounds}, by turns. Networks: {FRAMES} frames; the cascade is "
        f"stage 1 on all of them and the experts on {PASSED}. Decoding: a video of 120 frames of 640×480 in H.264, and "
        f"its frames as PNG. Features: {PICTURES} pictures of 256 px from files, 16 at a time, by {EXTRACTED}. "
        f"Memory: a step of GenConViT ED with Adam on {STEP} frames, as stated before it starts, and as the largest "
        "resident memory of the process beyond that before it.",
        intervals="",
        tables={"throughput": throughput(arguments.rounds), "decoding": decoding},
        values={
            "extractor": number_cell(extraction["FeatureExtractor"], 1), "plain": number_cell(extraction["plain"], 1),
            "ratio": number_cell(extraction["FeatureExtractor"] / extraction["plain"], 2, "×"),
            "stated": number_cell(stated / 1e9, 2, " GB"), "measured": number_cell(measured / 1e9, 2, " GB"),
        },
    )  # fmt: skip


def member(preset: str) -> ImageEncoder:
    """The network of a preset as `profile=full` builds it, from random weights, without its last layer."""
    config = composed([f"experiment={preset}", "profile=full"]).model
    if "network" in config:
        config.network.weights = "random"
        network = instantiate(config.network)(config.variant)
    else:
        config.encoder.weights = "random"
        network = instantiate(config.encoder)()
    assert isinstance(network, ImageEncoder)
    return network


def throughput(rounds: int) -> Table:
    """Frames a second of each member and of the cascade, one and sixteen at a time."""
    networks = {name: member(preset).eval() for name, preset in MEMBERS.items()}
    filtering, *experts = networks.values()
    rows: dict[str, dict[str, Cell]] = {}

    def frames_through(network: ImageEncoder, frames: int, at_a_time: int) -> None:
        size = network.image_size
        for first in range(0, frames, at_a_time):
            network(torch.zeros((min(at_a_time, frames - first), 3, size, size), dtype=torch.uint8))

    def cascaded(at_a_time: int) -> None:
        frames_through(filtering, FRAMES, at_a_time)
        for expert in experts:
            frames_through(expert, PASSED, at_a_time)

    for at_a_time in (1, FRAMES):
        actions: dict[str, Callable[[], object]] = {
            name: _bound(frames_through, network, FRAMES, at_a_time) for name, network in networks.items()
        }
        with torch.inference_mode():
            spent = alternate({**actions, "cascade": _bound(cascaded, at_a_time)}, rounds)
        together = sum(spent[name] for name in list(MEMBERS)[1:])
        for name, seconds in {**spent, "experts together": together}.items():
            row = rows.setdefault(name, {"model": name})
            row[f"frames a second, {at_a_time} at a time"] = number_cell(FRAMES / seconds, 2)
            row[f"over the experts, {at_a_time} at a time"] = number_cell(together / seconds, 2, "×")
    return list(rows.values())


def _bound(action: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: action(*arguments)


def decoded(scratch: Path, rounds: int) -> Table:
    """Frames a second from a video, and pictures a second from files and from the cache."""
    video = write_video(scratch / "video.mp4", frames=120)
    caches = (scratch / f"cache{number}" for number in count())
    stored = extract_frames(video, None, scratch / "stored")
    transform = member("deepfake_stage1").transform
    digests = [digest_file(path) for path in stored]
    warm = scratch / "warm"
    decoded_images(stored, digests, transform, warm)

    def plain() -> None:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                frame.to_image()

    spent = alternate({
        "video, decoded by PyAV alone": plain,
        "video, all frames kept as PNG": lambda: extract_frames(video, None, next(caches)),
        "video, 32 frames kept as PNG": lambda: extract_frames(video, 32, next(caches)),
        "pictures, decoded once": lambda: decoded_images(stored, digests, transform, next(caches)),
        "pictures, from the cache": lambda: decoded_images(stored, digests, transform, warm).take(range(len(stored))),
    }, rounds)  # fmt: skip
    return [{"read": name, "frames a second": count_cell(round(len(stored) / s))} for name, s in spent.items()]


def write_video(path: Path, *, frames: int) -> Path:
    """A moving gradient with noise, 640×480, at the default quality of H.264."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.linspace(0, 12, 640))[None, :, None] * 60 + 128
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(frames):
            pixels = np.roll(wave, 3 * number, axis=1) + rng.normal(0, 4, (480, 640, 3))
            frame = av.VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class Pictures(Dataset):
    """(what `transform` makes of a picture, 0) of files."""

    def __init__(self, paths: list[Path], transform: Callable[[Image.Image], object]) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return torch.as_tensor(self.transform(read_image(self.paths[position]))), 0


def extracted(scratch: Path, rounds: int) -> Mapping[str, float]:
    """Pictures a second from files to embeddings, by `FeatureExtractor` and by a plain loop over the same network."""
    rng = np.random.default_rng(0)
    paths = [scratch / f"{number:03d}.jpg" for number in range(PICTURES)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        coarse.resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=90)
    torch.manual_seed(0)
    network = timm.create_model(EXTRACTED, pretrained=False)
    torch.save(network.state_dict(), scratch / "weights.pth")
    extractor = FeatureExtractor(EXTRACTED, scratch / "weights.pth")
    model = timm.create_model(EXTRACTED, pretrained=False, num_classes=0).eval()
    model.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("classifier.")})
    config = timm.data.resolve_data_config({}, model=model)
    loaders = {
        "FeatureExtractor": DataLoader(Pictures(paths, extractor.transform), 16),
        "plain": DataLoader(Pictures(paths, timm.data.create_transform(**config)), 16),
    }

    def plain() -> np.ndarray:
        return np.concatenate([model(images).numpy() for images, _ in loaders["plain"]])

    def ours() -> np.ndarray:
        return extractor.extract(loaders["FeatureExtractor"])[0]

    np.testing.assert_allclose(ours(), plain(), rtol=1e-3, atol=1e-3)
    spent = alternate({"FeatureExtractor": ours, "plain": plain}, 12 * rounds)  # short, because they are close
    return {name: len(paths) / seconds for name, seconds in spent.items()}


def memory() -> tuple[int, int]:
    """Bytes of a step of GenConViT ED: as counted before there is one, and as the step took in a process of its own."""
    network = member("deepfake_genconvit_ed")
    size = network.image_size
    stated = sum(step_bytes(network, (torch.zeros(1, 3, size, size, dtype=torch.uint8),), STEP))
    command = [sys.executable, "-m", "benchmarks.deepfake_speed", "--step"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return stated, int(output.split()[-1])


def step_in_bytes(network: ImageEncoder) -> int:
    """How much the largest resident memory grows by two steps with Adam, and the network itself."""
    size = network.image_size
    held = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    before = _largest_resident()
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.zeros((STEP, 3, size, size), dtype=torch.uint8)).square().mean().backward()
        optimizer.step()
    return held + _largest_resident() - before


def _largest_resident() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in kilobytes


if __name__ == "__main__":
    main()
