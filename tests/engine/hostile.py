"""What a stranger may write into a configuration to run code, read or write: names, and nodes that leave a mark."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib


class Marks:
    """An object that makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.mark, "executed")


def _pickled(folder: Path, mark: Path) -> str:
    path = folder / "payload.pkl"
    path.write_bytes(pickle.dumps(Marks(mark)))
    return str(path)


def _dumped(folder: Path, mark: Path) -> str:
    path = folder / "payload.joblib"
    joblib.dump(Marks(mark), path)
    return str(path)


def _script(folder: Path, mark: Path, name: str = "payload.py") -> Path:
    path = folder / name
    path.write_text(f"open({str(mark)!r}, 'w').close()\ndef f(**_): open({str(mark)!r}, 'w').close()\n")
    return path


Node = dict[str, Any]
# Each makes the file `mark` wherever it is carried out; `folder` is the run's own.
PAYLOADS: dict[str, Callable[[Path, Path], Node]] = {
    "torch.utils.collect_env.run": lambda folder, mark: {"command": ["touch", str(mark)]},
    "numpy.testing.runstring": lambda folder, mark: {"astr": f"open({str(mark)!r}, 'w')", "dict": {}},
    "torch.load": lambda folder, mark: {"f": _pickled(folder, mark), "weights_only": False},
    "pandas.read_pickle": lambda folder, mark: {"filepath_or_buffer": _pickled(folder, mark)},
    "joblib.load": lambda folder, mark: {"filename": _dumped(folder, mark)},
    "torch.hub.load": lambda folder, mark: {
        "repo_or_dir": str(_script(folder, mark, "hubconf.py").parent), "model": "f", "source": "local",
    },
    "pathlib.Path.write_text": lambda folder, mark: {
        "_args_": [{"_target_": "pathlib.Path", "_args_": [str(mark)]}], "data": "executed",
    },
    "outputs.sentiment_tfidf.payload.f": lambda folder, mark: {},
    "payload.f": lambda folder, mark: {},
    "subprocess.Popen": lambda folder, mark: {"args": ["touch", str(mark)]},
    "os.mkdir": lambda folder, mark: {"path": str(mark)},
    "os.system": lambda folder, mark: {"command": f"touch {mark}"},
    "builtins.exec": lambda folder, mark: {"_args_": [f"open({str(mark)!r}, 'w')"]},
    "builtins.open": lambda folder, mark: {"file": str(mark), "mode": "w"},
    "shutil.copyfile": lambda folder, mark: {"src": str(_script(folder, mark)), "dst": str(mark)},
    "runpy.run_path": lambda folder, mark: {"path_name": str(_script(folder, mark))},
    "timeit.timeit": lambda folder, mark: {"stmt": f"open({str(mark)!r}, 'w')", "number": 1},
    "cProfile.run": lambda folder, mark: {"statement": f"open({str(mark)!r}, 'w')"},
    "pty.spawn": lambda folder, mark: {"argv": ["touch", str(mark)]},
    "logging.FileHandler": lambda folder, mark: {"filename": str(mark)},
    "sqlite3.connect": lambda folder, mark: {"database": str(mark)},
    "hydra.utils.instantiate": lambda folder, mark: {"config": {"_target_": "os.mkdir", "path": str(mark)}},
    "hydra._internal.instantiate._instantiate2.instantiate": lambda folder, mark: {
        "config": {"_target_": "os.mkdir", "path": str(mark)}
    },
    "optuna.storages.RDBStorage": lambda folder, mark: {"url": f"sqlite:///{mark}"},
    "optuna.storages.journal.JournalFileBackend": lambda folder, mark: {"file_path": str(mark)},
    "lightning.pytorch.loggers.CSVLogger": lambda folder, mark: {"save_dir": str(mark)},
    "lightning.pytorch.profilers.AdvancedProfiler": lambda folder, mark: {"dirpath": str(mark), "filename": "p"},
    "hallmark.engine.search.study.SweepStudy": lambda folder, mark: {
        "directory": {"_target_": "pathlib.Path", "_args_": [str(mark)]}, "name": "s", "url": f"sqlite:///{mark}",
        "plan": None, "space": None, "objectives": [],
    },
    "hallmark.storage.files.write_text": lambda folder, mark: {
        "path": {"_target_": "pathlib.Path", "_args_": [str(mark)]}, "text": "executed",
    },
    "hallmark.engine.release.release.subprocess.Popen": lambda folder, mark: {"args": ["touch", str(mark)]},
}  # fmt: skip

# Names alone; what they would do is known.
NAMES = (
    "antigravity.fly", "bdb.Bdb", "builtins.__import__", "builtins.compile", "builtins.eval", "builtins.getattr",
    "code.interact", "codeop.compile_command", "concurrent.futures.ProcessPoolExecutor", "ctypes.CDLL",
    "distutils.core.setup", "doctest.testfile", "functools.partial", "http.server.test", "importlib.import_module",
    "importlib.reload", "inspect.getattr_static", "logging.config.dictConfig", "marshal.loads", "mmap.mmap",
    "multiprocessing.Process", "multiprocessing.connection.Client", "operator.attrgetter", "operator.methodcaller",
    "os.execv", "os.fork", "os.kill", "os.popen", "os.posix_spawn", "os.putenv", "os.remove", "os.spawnv",
    "pathlib.Path", "pathlib.Path.unlink", "pdb.run", "pickle.load", "pickle.Unpickler", "pkgutil.resolve_name",
    "platform.popen", "profile.run", "pydoc.locate", "pydoc.pipepager", "shelve.open", "shutil.make_archive",
    "shutil.move", "shutil.rmtree", "shutil.unpack_archive", "site.addsitedir", "smtplib.SMTP", "socket.socket",
    "subprocess.call", "subprocess.check_output", "subprocess.run", "sys.settrace", "tempfile.NamedTemporaryFile",
    "threading.Thread", "trace.Trace", "types.FunctionType", "unittest.main", "urllib.request.urlopen",
    "urllib.request.urlretrieve", "venv.create", "webbrowser.open", "xmlrpc.client.ServerProxy",
    "zipapp.create_archive",
    "IPython.start_ipython", "debugpy.listen", "fsspec.open", "huggingface_hub.hf_hub_download",
    "huggingface_hub.snapshot_download", "hydra.main", "hydra.utils.call", "hydra.utils.get_class",
    "hydra.utils.get_method", "hydra.utils.get_object", "jinja2.Environment", "joblib.dump", "joblib.Memory",
    "lightning.LightningModule.load_from_checkpoint", "lightning.fabric.utilities.cloud_io._load",
    "lightning.pytorch.Trainer", "lightning.pytorch.callbacks.LambdaCallback",
    "lightning.pytorch.callbacks.ModelCheckpoint", "lightning.pytorch.cli.LightningCLI",
    "lightning.pytorch.cli.instantiate_class", "matplotlib.pyplot.savefig", "numpy.ctypeslib.load_library",
    "numpy.f2py.compile", "numpy.fromfile", "numpy.load", "numpy.save", "numpy.testing.rundocs",
    "omegaconf.OmegaConf.load", "omegaconf.OmegaConf.register_new_resolver", "omegaconf.OmegaConf.save",
    "open_clip.create_model", "openai.OpenAI", "optuna.create_study", "optuna.delete_study", "optuna.load_study",
    "optuna.pruners.PatientPruner", "optuna.storages.get_storage", "pandas.DataFrame.to_pickle", "pandas.eval",
    "pandas.io.clipboard.paste", "pandas.read_html", "pandas.read_sql", "pip.main", "pkg_resources.load_entry_point",
    "safetensors.torch.save_file", "scipy.io.loadmat", "setuptools.sandbox.run_setup", "sklearn.datasets.load_files",
    "sklearn.utils.fixes.threadpool_info", "sqlalchemy.create_engine", "sympy.sympify", "timm.create_model",
    "timm.models.load_checkpoint", "torch._dynamo.explain", "torch.classes.load_library", "torch.compile",
    "torch.distributed.rpc.rpc_sync", "torch.hub.download_url_to_file", "torch.hub.load_state_dict_from_url",
    "torch.jit.load", "torch.jit.script", "torch.nn.Linear", "torch.ops.load_library", "torch.package.PackageImporter",
    "torch.save", "torch.serialization.add_safe_globals", "torch.utils.cpp_extension.load",
    "torch.utils.cpp_extension.load_inline", "torch.utils.model_zoo.load_url", "torchmetrics.Accuracy",
    "torchvision.models.get_model", "transformers.AutoModel.from_pretrained",
    "transformers.AutoTokenizer.from_pretrained",
    "transformers.Trainer", "transformers.dynamic_module_utils.get_class_from_dynamic_module", "transformers.pipeline",
    "wandb.init",
    # Of Hallmark: functions, what is not public, what is imported there, and names that are no classes of it.
    "hallmark", "hallmark.", ".hallmark.Run", "hallmark..checks.SettingError", "hallmark.checks.require",
    "hallmark.console.main", "hallmark.engine.build.build", "hallmark.engine.train.train",
    "hallmark.engine.setup.Trainer", "hallmark.engine.distributed.ranks.subprocess.Popen",
    "hallmark.engine.launch.os.system", "hallmark.features.store.Path",
    "hallmark.learning.encoders.clip.clip_requirement", "hallmark.learning.encoders.weights._cause",
    "hallmark.learning.encoders.weights.pickle.load", "hallmark.learning.encoders.weights.torch.load",
    "hallmark.learning.encoders.weights.safe_load", "hallmark.learning.encoders.weights.MissingWeightsError.__init__",
    "hallmark.runs.run.Run.clear", "hallmark.runs.run.shutil.rmtree",
    "hallmark.systems.refseg.data.DataModule.load_from",
    "hallmarks.Run", "hallmark_evil.Run", "Hallmark.Run", "hallmark/../payload.f", "hallmark.nowhere.Class",
    # Not the name of a class at all.
    "", "os", "f", "a b.c", "os.system\n", "ｈallmark.checks.SettingError", "lightning.Trainer.fit",
    "lightning.Trainer ",
)  # fmt: skip
