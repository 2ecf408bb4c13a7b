"""Write the site's pages that are not in docs/: from the code, the notebook and notes.

Run by mkdocs (plugin gen-files); its output is not stored in the repository.
"""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import mkdocs_gen_files

from pipeline.command_line import option_tables

DOCS = Path(__file__).parent.parent
COMMANDS = {
    "s2cnet-crop": ("pipeline.settings", "Settings"),
    "s2cnet-runs": ("pipeline.cli.runs", "COMMANDS"),
    "s2cnet-demo": ("pipeline.cli.demo", "Demo"),
    "s2cnet-fetch-weights": ("pipeline.cli.fetch_weights", "Checkpoints"),
    "s2cnet-evaluate": ("pipeline.lab.cli.evaluate", "EvaluationJob"),
    "s2cnet-train": ("pipeline.lab.cli.train", "TrainJob"),
    "s2cnet-make-starter": ("pipeline.lab.cli.make_starter", "StarterJob"),
    "s2cnet-fine-tune-starter": ("pipeline.lab.cli.fine_tune_starter", "FineTuneJob"),
    "s2cnet-learn-from-people": ("pipeline.lab.cli.learn_from_people", "STEPS"),
}
PUBLIC = {
    "Crop photos": ["pipeline.cropping.cropper.Cropper", "pipeline.cropping.cropper.Crop"],
    "Decode": ["pipeline.photo.decode.decode", "pipeline.photo.decode.Photo"],
    "Read runs": ["pipeline.ledger.reader.open_run", "pipeline.ledger.reader.Run"],
    "Errors": ["pipeline.errors"],
    "Network": [
        "s2cnet.network.s2cnet.S2CNet",
        "s2cnet.config.S2CNetConfig",
        "s2cnet.checkpoints.published.load_model",
        "s2cnet.checkpoints.published.from_published_state_dict",
        "s2cnet.inputs.prepare_image",
        "s2cnet.inputs.boxes_to_input",
        "s2cnet.fast.FastS2CNet",
    ],
    "Operators": ["cuda_ops.roi_align", "cuda_ops.rod_align"],
    "Candidates and measures": ["pipeline.candidates", "pipeline.metrics"],
}


def options_page() -> Iterator[str]:
    """Write every command's options, grouped as in its `--help`."""
    yield "# Options\n"
    yield "Made from the code. `jobs/*.py` are the same commands as scripts.\n"
    for command, (module, name) in COMMANDS.items():
        yield f"## {command}\n"
        for title, rows in option_tables(getattr(import_module(module), name)).items():
            yield f"### {title[0].upper()}{title[1:]}\n"
            yield "| option | default | meaning |\n| --- | --- | --- |"
            yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)
            yield ""


def _cell(text: str) -> str:
    """Format text for a table cell, an option as code; nothing in it is read as HTML."""
    text = text.replace("|", "&#124;")
    if text.startswith("--"):
        return f"`{text}`"
    parts = text.split("`")  # every second one is code, where < needs no escape
    return "`".join(p if i % 2 else p.replace("<", "&lt;") for i, p in enumerate(parts))


def api_page() -> Iterator[str]:
    """Write the public names, documented from their docstrings."""
    yield "# Python\n"
    yield "Boxes are float xyxy in source pixels after orientation, half-open, unless a name says\n"
    yield "otherwise.\n"
    for title, names in PUBLIC.items():
        yield f"## {title}\n"
        yield from (f"::: {name}\n" for name in names)


def notebook_page() -> Iterator[str]:
    """Write the notebook's cells; a test runs them."""
    notebook = json.loads((DOCS / "notebook.ipynb").read_text())
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        yield source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
        yield ""


def architecture_page() -> Iterator[str]:
    """Write ARCHITECTURE.md, which has the glossary."""
    yield (DOCS.parent / "ARCHITECTURE.md").read_text()


def weights_page() -> Iterator[str]:
    """Write the notes beside the detector's weights, one section a file."""
    yield "# Weights of the detector\n"
    notes = DOCS.parent / "pipeline" / "detectors" / "weights" / "README.md"
    for line in notes.read_text().splitlines():
        yield f"#{line}" if line.startswith("#") else line


for name, page in (
    ("options.md", options_page),
    ("api.md", api_page),
    ("notebook.md", notebook_page),
    ("architecture.md", architecture_page),
    ("weights.md", weights_page),
):
    with mkdocs_gen_files.open(name, "w") as file:
        file.write("\n".join(page()))
