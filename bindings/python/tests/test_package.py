"""The package as a whole: nothing of the C ABI is missing, documentation runs, types hold."""

import doctest
import importlib.metadata
import inspect
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

import omma

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
PACKAGE = pathlib.Path(omma.__file__).parent

# Exports of the C ABI that go by another name, and where they are.
ELSEWHERE = {
    "context_create": "Context",
    "context_destroy": "Context.close",
    "context_isa": "Context.isa",
    "context_num_threads": "Context.num_threads",
    "context_scratch_bytes": "Context.scratch_bytes",
    "conv2d_create": "Conv2d",
    "conv2d_describe": "Conv2d.describe",
    "conv2d_destroy": "Conv2d",
    "conv2d_output_shape": "Conv2d.run",
    "conv2d_run": "Conv2d.run",
    "conv_transpose2d_create": "ConvTranspose2d",
    "conv_transpose2d_describe": "ConvTranspose2d.describe",
    "conv_transpose2d_destroy": "ConvTranspose2d",
    "conv_transpose2d_output_shape": "ConvTranspose2d.run",
    "conv_transpose2d_run": "ConvTranspose2d.run",
    "feed_forward_create": "FeedForward",
    "feed_forward_describe": "FeedForward.describe",
    "feed_forward_destroy": "FeedForward",
    "feed_forward_run": "FeedForward.run",
    "isa_name": "isa",
    "last_error": "OmmaError",
    "linear_create": "Linear",
    "linear_describe": "Linear.describe",
    "linear_destroy": "Linear",
    "linear_run": "Linear.run",
    "multi_head_attention_create": "MultiHeadAttention",
    "multi_head_attention_describe": "MultiHeadAttention.describe",
    "multi_head_attention_destroy": "MultiHeadAttention",
    "multi_head_attention_run": "MultiHeadAttention.run",
    "patch_embedding_create": "PatchEmbedding",
    "patch_embedding_describe": "PatchEmbedding.describe",
    "patch_embedding_destroy": "PatchEmbedding",
    "patch_embedding_run": "PatchEmbedding.run",
    "remap_create": "Remap",
    "remap_destroy": "Remap",
    "remap_run": "Remap.run",
    "rotated_size": "rotate",
    "status_name": "Status",
    "transformer_encoder_layer_create": "TransformerEncoderLayer",
    "transformer_encoder_layer_describe": "TransformerEncoderLayer.describe",
    "transformer_encoder_layer_destroy": "TransformerEncoderLayer",
    "transformer_encoder_layer_run": "TransformerEncoderLayer.run",
    "version": "__version__",
}


def exports():
    header = (PROJECT / "include/omma.h").read_text()
    names = set(re.findall(r"\bomma_(\w+)\(", header)) - {"init_"}
    assert len(names) > 30
    return sorted(names)


@pytest.mark.parametrize("name", exports())
def test_every_export_of_c_is_here(name):
    value = omma
    for part in ELSEWHERE.get(name, name).split("."):
        value = getattr(value, part)
    assert (name in ELSEWHERE) != (name in omma.__all__)


def test_no_name_is_left_over():
    assert set(ELSEWHERE) <= set(exports())
    own = {"get_num_threads", "set_num_threads", "isa", "OmmaError", "Letterbox", "Status"}
    rest = {place.split(".")[0] for place in ELSEWHERE.values()}
    assert set(omma.__all__) == (set(exports()) - set(ELSEWHERE)) | own | rest
    assert omma.__all__ == sorted(omma.__all__)


def documented():
    yield "omma", omma.__doc__
    for name in omma.__all__:
        value = getattr(omma, name)
        if name == "__version__":
            continue
        yield name, value.__doc__
        if inspect.isclass(value) and name != "Status":
            for method, member in vars(value).items():
                if not method.startswith("_") and hasattr(member, "__doc__"):
                    yield f"{name}.{method}", member.__doc__


DOCUMENTED = dict(documented())


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documentation(name):
    text = DOCUMENTED[name]
    assert text
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    needs_none = {"Context.num_threads", "Context.isa", "Context.scratch_bytes", "Context.close", "Letterbox", "Status"}
    needs_none |= {"get_num_threads"}
    fields = name.startswith(("Letterbox.", "OmmaError."))
    assert test.examples or name in needs_none or fields
    output = []
    doctest.DocTestRunner().run(test, out=output.append)
    assert not output, "".join(output)


@pytest.mark.parametrize("name", [n for n in omma.__all__ if callable(getattr(omma, n))])
def test_arguments_are_documented(name):
    function = getattr(omma, name)
    if name in {"Letterbox", "Status", "OmmaError"}:
        return
    text = function.__doc__
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"\b{parameter}\b|The arguments are those of", text), parameter


@pytest.mark.parametrize("page", ["README.md", "bindings/python/README.md"])
def test_examples_of_the_pages(page):
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / page).read_text(), re.S)
    assert blocks
    for block in blocks:
        test = doctest.DocTestParser().get_doctest(block, {}, page, page, 0)
        if test.examples:
            output = []
            doctest.DocTestRunner().run(test, out=output.append)
            assert not output, "".join(output)
        else:
            run = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True)
            said = re.findall(r"# prints (.*)", block)
            assert said and run.stdout.splitlines() == said, run.stderr


def test_the_page_names_every_operator():
    text = (PROJECT / "bindings/python/README.md").read_text()
    for name in omma.__all__:
        assert f"`{name}" in text, name


def test_versions_agree():
    assert omma.__version__ == importlib.metadata.version("omma")
    for manifest in ("Cargo.toml", "bindings/python/Cargo.toml"):
        assert f'\nversion = "{omma.__version__}"\n' in (PROJECT / manifest).read_text()


def run(*command):
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_stubs_are_what_runs():
    assert (PACKAGE / "py.typed").exists()
    run("mypy.stubtest", "omma")


def test_types_of_a_caller():
    cache = PROJECT / "target/test/mypy"
    run("mypy", "--strict", f"--cache-dir={cache}", str(HERE / "typing_of_a_caller.py"))


def test_the_caller_runs():
    runpy.run_path(str(HERE / "typing_of_a_caller.py"))
