"""A network cut in two between its stages: what stands still for good, and what is trained on top of it.

Where the first stages stand still, what they make of an image is the same in every epoch, so that it can be kept as the
features of a whole backbone are. Both parts share the network's modules and parameters; the second one is its copy in
which what comes before the cut hands on what it gets.

Source: Liu, Agarwal and Venkataraman, "AutoFreeze: automatically freezing model blocks to accelerate fine-tuning",
arXiv 2102.01386, 2021 (what frozen blocks give is kept).

Shape suffixes: N images, C channels, H and W positions of the map at the cut, F = H W C of its values, E features.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator

import torch
from torch import Tensor, nn

from kaggle_ray.errors import ConfigError


class StageSplit:
    """A backbone in two parts: ``first`` of images, and ``rest`` of what that gives."""

    def __init__(self, backbone: nn.Module, standing: Collection[str]) -> None:
        """Cut ``backbone`` behind the last of its parameters that are ``standing``, which are the first stages'.

        Raises:
            ConfigError: none of its modules ends there.
        """
        self._backbone = backbone
        self._rest, self._last = _cut(backbone, frozenset(standing))
        self.standing = nn.ModuleList(_standing(backbone, self._rest))
        """The modules before the cut, in their order."""
        self._maps: dict[int, tuple[int, int, int]] = {}
        """F -> height, width and channels of the map, for the sizes of images that were looked at."""

    @torch.no_grad()
    def look_at(self, images_NCHW: Tensor) -> None:
        """Remember the map's size for images of this size; find out whether both parts are the whole.

        Raises:
            ConfigError: they are not, as with a network that adds something of the images behind the cut.
        """
        was_training = self._backbone.training
        self._backbone.eval()
        self.train(False)
        try:
            map_NCHW = self._map(images_NCHW)
            expected = self._backbone(images_NCHW)
            if map_NCHW.ndim == 4:
                self._maps[map_NCHW[0].numel()] = (*map_NCHW.shape[2:], map_NCHW.shape[1])
                found = self.rest(self.first(images_NCHW))
                if found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-4):
                    return
        except (RuntimeError, TypeError, ValueError) as error:
            raise _not_two_parts(self._backbone) from error
        finally:
            self._backbone.train(was_training)
            self.train(was_training)
        raise _not_two_parts(self._backbone)

    def train(self, mode: bool) -> None:
        """Put the second part's own modules into training or evaluation mode; the backbone's are put there with it."""
        for copied in _copied(self._rest, self._backbone):
            copied.training = mode

    def first(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, F) the map at the cut, the channels of a position side by side."""
        return self._map(images_NCHW).permute(0, 2, 3, 1).flatten(1)

    def rest(self, features_NF: Tensor) -> Tensor:
        """Return what the backbone returns of the images of which ``first`` gave ``features_NF``."""
        map_NHWC = features_NF.view(len(features_NF), *self._maps[features_NF.shape[1]])
        features: Tensor = self._rest(map_NHWC.permute(0, 3, 1, 2))
        return features

    def _map(self, images_NCHW: Tensor) -> Tensor:
        def leave(_: nn.Module, __: object, output: Tensor) -> None:
            raise _Reached(output)

        hook = self._last.register_forward_hook(leave)
        try:
            self._backbone(images_NCHW)
        except _Reached as reached:
            return reached.output
        finally:
            hook.remove()
        raise AssertionError("its parameters are used")


class _Reached(Exception):
    """No error: it leaves a network's forward pass at the cut."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


def _cut(module: nn.Module, standing: frozenset[str]) -> tuple[nn.Module, nn.Module]:
    """Return a copy of ``module`` without what comes before the cut, and the last module that does."""
    children = list(module.named_children())
    inner = {name: frozenset(_below(name, standing)) for name, _ in children}
    last = max((number for number, (name, _) in enumerate(children) if inner[name]), default=None)
    if last is None:
        raise _not_two_parts(module)
    name, child = children[last]
    rest = _copy(module)
    for earlier, _ in children[:last]:
        rest._modules[earlier] = nn.Identity()
    if {parameter for parameter, _ in child.named_parameters()} <= inner[name]:
        rest._modules[name] = nn.Identity()
        return rest, child
    rest._modules[name], end = _cut(child, inner[name])
    return rest, end


def _below(name: str, parameters: Iterable[str]) -> Iterator[str]:
    """Yield the names below the module ``name`` of those parameters that are."""
    return (each.removeprefix(f"{name}.") for each in parameters if each.startswith(f"{name}."))


def _copy(module: nn.Module) -> nn.Module:
    """Return a module with the same parameters, buffers and children, whose children can be replaced."""
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied


def _copied(rest: nn.Module, original: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of ``rest`` that are copies of those of ``original``."""
    yield rest
    for name, child in rest.named_children():
        if child is not (of_original := original.get_submodule(name)) and type(child) is type(of_original):
            yield from _copied(child, of_original)


def _standing(original: nn.Module, rest: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of ``original`` that are left out of ``rest``."""
    for name, child in original.named_children():
        of_rest = rest.get_submodule(name)
        if of_rest is child:
            continue
        if type(of_rest) is type(child):
            yield from _standing(child, of_rest)
        else:
            yield child


def _not_two_parts(network: nn.Module) -> ConfigError:
    return ConfigError(
        f"freeze stages: {type(network).__name__} cannot be computed in two parts at this stage. Choose another number "
        "of freeze_stages, or set freeze to none: the stages then stand still, and are computed anew in each epoch."
    )
