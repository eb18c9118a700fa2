"""Configs of runs that would write, download, start a process or run code.

Each one uses a folder `LOOT`, in which it would create files, a weights file `PICKLE`, or both.
"""

from typing import Any

Config = dict[str, Any]


def of_python(**more: Any) -> Config:
    """A node that would run a shell command."""
    return {"_target_": "os.system", "command": "touch LOOT/mark", **more}


def within(*nodes: Any, target: str = "torch.nn.Sequential") -> Config:
    return {"_target_": target, "_args_": list(nodes)}


MNIST = {"_target_": "torchvision.datasets.MNIST", "root": "LOOT/mnist", "download": True}
LATER = {
    "_target_": "torchvision.datasets.MNIST",
    "_partial_": True,
    "_args_": ["LOOT/mnist"],
    "download": True,
}
TIMM = {"_target_": "timm.create_model", "model_name": "resnet18"}
TOUCH = ["touch", "LOOT/mark"]

REFUSED: dict[str, Any] = {
    "of Python": of_python(),
    "of its runtime": {"_target_": "builtins.exec", "_args_": ["open('LOOT/mark', 'w')"]},
    "eval": {"_target_": "builtins.eval", "_args_": ["open('LOOT/mark', 'w')"]},
    "import": {"_target_": "builtins.__import__", "_args_": ["antigravity"]},
    "open": {"_target_": "builtins.open", "_args_": ["LOOT/mark", "w"]},
    "io": {"_target_": "io.open", "_args_": ["LOOT/mark", "w"]},
    "posix": {"_target_": "posix.system", "_args_": ["touch LOOT/mark"]},
    "a process": {"_target_": "subprocess.Popen", "args": TOUCH},
    "its output": {"_target_": "subprocess.check_output", "_args_": [TOUCH]},
    "a path": {"_target_": "pathlib.Path.touch", "_args_": ["LOOT/mark"]},
    "a folder": {"_target_": "os.makedirs", "name": "LOOT/mark"},
    "removal": {"_target_": "shutil.rmtree", "path": "LOOT"},
    "a module": {"_target_": "runpy.run_path", "path_name": "PICKLE"},
    "importlib": {"_target_": "importlib.import_module", "name": "antigravity"},
    "a pickle": {"_target_": "pickle.loads", "_args_": ["cos\nsystem\n(S'touch LOOT/mark'\ntR."]},
    "functools": {"_target_": "functools.partial", "_args_": [of_python()]},
    "a URL": {"_target_": "urllib.request.urlretrieve", "url": "http://127.0.0.1:9/x"},
    "Hydra's get_method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
    "Hydra's get_class": {"_target_": "hydra.utils.get_class", "path": "subprocess.Popen"},
    "Hydra's get_object": {"_target_": "hydra.utils.get_object", "path": "os.system"},
    "Hydra's instantiate": {"_target_": "hydra.utils.instantiate", "_args_": [of_python()]},
    "a function of the engine": {"_target_": "arclight.files.write_text", "path": "LOOT/a"},
    "a build of the engine": {"_target_": "arclight.config.build.build", "_args_": [of_python()]},
    "a command of the engine": {
        "_target_": "arclight.provenance.manifest._output",
        "_args_": TOUCH,
    },
    "a training of the engine": {"_target_": "arclight.use.train.train", "path": "LOOT/run"},
    "the engine's cache": {"_target_": "arclight_zoo.reading.cache.cache_folder", "given": "LOOT"},
    "an alias of the engine": {"_target_": "arclight.files.shutil.rmtree", "path": "LOOT"},
    "an alias of a library": {"_target_": "torch.serialization.os.system", "command": "true"},
    "an alias of torch's": {"_target_": "torch.utils.data.dataset.warnings.sys.exit"},
    "torch.load": {"_target_": "torch.load", "f": "PICKLE", "weights_only": False},
    "torch.jit.load": {"_target_": "torch.jit.load", "f": "PICKLE"},
    "torch.hub.load": {"_target_": "torch.hub.load", "repo_or_dir": "LOOT", "source": "local"},
    "torch.hub's download": {"_target_": "torch.hub.download_url_to_file", "dst": "LOOT/a"},
    "torch.save": {"_target_": "torch.save", "obj": 1, "f": "LOOT/mark"},
    "torch's inductor": {"_target_": "torch.utils.cpp_extension.load_inline", "name": "a"},
    "torch's environment": {"_target_": "torch.utils.collect_env.run", "command": "touch LOOT/a"},
    "a SummaryWriter": {"_target_": "torch.utils.tensorboard.SummaryWriter", "log_dir": "LOOT/a"},
    "from_pretrained": {"_target_": "transformers.BertModel.from_pretrained", "trust": True},
    "an AutoModel": {"_target_": "transformers.AutoModel.from_pretrained", "_args_": ["a/b"]},
    "a pipeline": {"_target_": "transformers.pipeline", "model": "a/b", "trust_remote_code": True},
    "load_dataset": {"_target_": "datasets.load_dataset", "path": "LOOT"},
    "numpy": {"_target_": "numpy.save", "file": "LOOT/mark", "arr": 1},
    "pandas": {"_target_": "pandas.read_pickle", "filepath_or_buffer": "PICKLE"},
    "joblib": {"_target_": "joblib.load", "filename": "PICKLE"},
    "a private name": {"_target_": "torch._dynamo.config.x"},
    "globals": {"_target_": "torch.nn.Module.__init__.__globals__"},
    "a class of classes": {"_target_": "torch.nn.Module.__subclasses__"},
    "a dataset's method": {"_target_": "torchvision.datasets.MNIST.download"},
    "partial": of_python(_partial_=True),
    "not recursive": {
        "_target_": "torch.nn.Sequential",
        "_recursive_": False,
        "_args_": [of_python()],
    },
    "converted": of_python(_convert_="object"),
    "in a list": [of_python()],
    "in lists": [[{"a": [of_python()]}]],
    "in arguments": within(of_python()),
    "deep in arguments": within(within(within(of_python()))),
    "in a part": {"_target_": "torch.nn.ReLU", "inplace": of_python()},
    "in a mapping": {"a": {"b": {"c": of_python()}}},
    "a list as target": {"_target_": ["os.system"]},
    "a node as target": {"_target_": of_python()},
    "a path as target": {"_target_": "LOOT/mark.py"},
    "blanks": {"_target_": " os.system "},
    "another alphabet": {"_target_": "\uff4fs.system"},
    "relative": {"_target_": "..os.system"},
}
"""None of these may be built, in any place of a config."""

MODELS: dict[str, Config] = {
    "a data set that downloads": within(MNIST),
    "in a list of modules": within([MNIST], target="torch.nn.ModuleList"),
    "in a dict of modules": within({"a": MNIST}, target="torch.nn.ModuleDict"),
    "a partial, called later": within(
        within(LATER, "int", target="torchvision.transforms.v2.Lambda")
    ),
    "a partial as a layer": {
        "_target_": "torchvision.ops.MLP",
        "in_channels": 4,
        "hidden_channels": [4, 4],
        "norm_layer": LATER,
    },
    "a partial within timm": {**TIMM, "norm_layer": LATER},
    "USPS": within({"_target_": "torchvision.datasets.USPS", "root": "LOOT/a", "download": True}),
    "a checkpoint of timm": {**TIMM, "checkpoint_path": "PICKLE"},
    "a file of timm": {
        **TIMM,
        "pretrained": True,
        "pretrained_cfg_overlay": {"file": "PICKLE", "hf_hub_id": None},
    },
    "a URL of timm": {
        **TIMM,
        "pretrained": True,
        "pretrained_cfg_overlay": {"url": "http://127.0.0.1:9/a.pth", "hf_hub_id": None},
    },
    "a hub's of timm": {**TIMM, "model_name": "hf-hub:a/b", "pretrained": True},
    "weights of torchvision": {
        "_target_": "torchvision.models.get_model",
        "name": "resnet18",
        "weights": "DEFAULT",
    },
    "detection of torchvision": {
        "_target_": "torchvision.models.detection.ssd300_vgg16",
        "weights_backbone": "DEFAULT",
    },
    "a logger": within({"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "LOOT/a"}),
    "W&B": within({"_target_": "lightning.pytorch.loggers.WandbLogger", "save_dir": "LOOT/a"}),
    "TensorBoard": within(
        {"_target_": "lightning.pytorch.loggers.TensorBoardLogger", "save_dir": "LOOT/a"}
    ),
    "checkpoints": within(
        {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "LOOT/a"}
    ),
    "a trainer": within({"_target_": "lightning.Trainer", "default_root_dir": "LOOT/a"}),
    "a profiler": within(
        {
            "_target_": "lightning.pytorch.profilers.SimpleProfiler",
            "dirpath": "LOOT/a",
            "filename": "a",
        }
    ),
    "a score of a hub": within(
        {"_target_": "torchmetrics.multimodal.CLIPScore", "model_name_or_path": "LOOT/none"}
    ),
    "a pipe of files": within(
        {"_target_": "torch.utils.data.datapipes.iter.FileOpener", "_args_": [["PICKLE"]]}
    ),
}
"""These pass the check of a config, since they are in allowed libraries; they may only read."""
