"""``Network``, the interface of the package to a trained network of any JAX library."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import batches, checks, examples
from ntk_al.network import door, equinox, function, linen, nnx, parameters
from ntk_al.network.definition import Definition, Output
from ntk_al.network.readouts import READOUTS
from ntk_al.types import Array, PyTree

DIVERGED = "The network has diverged: retrain it with a lower learning rate."


@jax.tree_util.register_pytree_with_keys_class
class Network:
    """A trained network with its parameters, always applied in inference mode.

    ``Network(module, variables)`` takes a Flax Linen module. If the module has call arguments that
    are named in ``INFERENCE_ARGUMENTS`` (such as ``train`` or ``deterministic``), they are set for
    inference, so that BatchNorm uses its running statistics and dropout is off. ``from_nnx``,
    ``from_equinox`` and ``from_function`` take networks of other libraries.

    A network is immutable and a pytree: its arrays are the leaves, and the architecture is static.

    Args:
      module: a Linen module that maps inputs ``[N, ...]`` to logits ``[N, C]``.
      variables: the variables of the module, as ``module.init`` returns them and training updates
        them: ``params`` and, if the module has any, ``batch_stats`` and other collections.
      output: picks the logits ``[N, C]`` from what the network returns, if that is a tuple, a dict
        or another object.

    Attributes:
      definition: the architecture, and how its library applies it.
      params: the parameters θ, with respect to which the kernel differentiates; the user's pytree.
      state: the arrays that the kernel does not differentiate, such as running statistics.
      output: see above.

    Raises:
      TypeError: if the module is not an instance of a Linen module.
      ValueError: if the variables have no collection ``params``.
    """

    definition: Definition
    params: PyTree
    state: PyTree
    output: Output | None

    def __init__(self, module: Any, variables: PyTree, *, output: Output | None = None) -> None:
        self._set(*_with_arrays(linen.define(module, variables)), output)

    @classmethod
    def from_nnx(cls, model: Any, *, output: Output | None = None) -> Network:
        """Makes a network of a Flax NNX model.

        Args:
          model: the model, which maps inputs ``[N, ...]`` to logits ``[N, C]``. It is copied, and
            the copy is switched to inference by ``eval()``. Its parameters are all ``nnx.Param``.
          output: see ``Network``.

        Raises:
          TypeError: if ``model`` is not an instance of an NNX module.
        """
        return cls._of(*_with_arrays(nnx.define(model)), output)

    @classmethod
    def from_equinox(cls, model: Any, *, output: Output | None = None) -> Network:
        """Makes a network of an Equinox model.

        Args:
          model: the model, which maps one example ``[...]`` to logits ``[C]``. It is switched to
            inference by ``equinox.nn.inference_mode``. Its parameters are all real arrays.
          output: see ``Network``.

        Raises:
          TypeError: if ``model`` is not a callable instance of an Equinox module.
        """
        return cls._of(*_with_arrays(equinox.define(model)), output)

    @classmethod
    def from_function(
        cls, apply: Callable[[PyTree, PyTree], Any], params: PyTree, *, output: Output | None = None
    ) -> Network:
        """Makes a network of a plain function.

        Args:
          apply: a function ``apply(params, x)`` that maps inputs ``[N, ...]`` to logits
            ``[N, C]``. Arrays that it closes over are constants to the kernel.
          params: the parameters, any pytree; only its real arrays are differentiated.
          output: see ``Network``.

        Raises:
          TypeError: if ``apply`` is not callable.
        """
        return cls._of(*_with_arrays(function.define(apply, params)), output)

    @property
    def module(self) -> Any:
        """The Linen module, or ``None`` for networks of other libraries."""
        return self.definition.module if isinstance(self.definition, linen.Linen) else None

    @property
    def variables(self) -> PyTree:
        """The variables of a Linen module, with all collections."""
        if not isinstance(self.definition, linen.Linen):
            raise AttributeError("only networks of Linen modules have variables; see params")
        return {**self.state, "params": self.params}

    @property
    def name(self) -> str:
        """The name of the architecture in messages."""
        return self.definition.name

    def with_params(self, params: PyTree) -> Network:
        """Returns the same network with other parameters."""
        return self._of(self.definition, params, self.state, self.output)

    def with_state(self, state: PyTree) -> Network:
        """Returns the same network with another state."""
        return self._of(self.definition, self.params, state, self.output)

    def logits(self, x: PyTree) -> Array:
        """Computes the logits f(x), ``[N, C]``, of inputs ``[N, ...]`` in one pass."""
        return self.pick(self.definition.predict(self.params, self.state, x))

    def pick(self, output: Any) -> Array:
        """Picks the logits from what the network returned."""
        return cast(Array, output if self.output is None else self.output(output))

    def readout(self, x: PyTree, readout: str = "first_logit") -> Array:
        """Computes a scalar read-out g(x), ``[N]``, of inputs ``[N, ...]`` in one pass.

        Args:
          x: inputs, ``[N, ...]``.
          readout: a key of ``READOUTS``.
        """
        return READOUTS[readout](self.logits(x))

    def predict(self, x: PyTree, batch_size: int | None = None) -> Array:
        """Computes the logits f(x) of many inputs, in batches.

        Args:
          x: inputs, ``[N, ...]``.
          batch_size: examples in one pass; ``None`` chooses a size that suits the device.

        Returns:
          ``[N, C]``.

        Raises:
          TypeError: if ``x`` is not an array, or a pytree of arrays.
          ValueError: if there are no inputs, the network cannot be applied to them, or logits are
            NaN or infinite, which means that the network has diverged, unless ``x`` is.
        """
        if batch_size is not None:
            checks.positive("batch_size", batch_size)
        examples.check_structure("x", x)
        if checks.is_traced(self, x):
            return self.logits(x)
        try:
            logits = batches.map_batches(
                functools.partial(_jitted_logits, self), x, batch_size=batch_size
            )
        except (TypeError, ValueError):
            door.check_shapes(self, _jitted_logits, x)
            raise
        try:
            checks.finite("the network's output", logits, hint=DIVERGED)
        except ValueError:
            for leaf in jax.tree.leaves(x):
                checks.finite("x", leaf)  # which would be the cause
            raise
        return logits

    def check(self, x: PyTree, *, independent: bool = True) -> int:
        """Checks that this network maps ``x`` to logits, one row for each example.

        Args:
          x: inputs, ``[N, ...]``.
          independent: also check that the output for one example does not depend on the others.

        Returns:
          C, the number of outputs.

        Raises:
          TypeError: if a parameter is complex.
          ValueError: if the network cannot be applied to ``x``, its
            outputs do not have shape ``[N, C]``, or the output for one example depends on the
            others.
        """
        parameters.check_real(self)
        num_outputs = door.check_shapes(self, _jitted_logits, x)
        if independent and not checks.is_traced(self, x):
            door.check_independence(self, _jitted_logits, x)
        return num_outputs

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        """See ``jax.tree_util.register_pytree_with_keys_class``."""
        key = jax.tree_util.GetAttrKey
        children = ((key("params"), self.params), (key("state"), self.state))
        return children, (self.definition, self.output)

    @classmethod
    def tree_unflatten(cls, static: Any, children: Any) -> Network:
        """See ``jax.tree_util.register_pytree_with_keys_class``."""
        definition, output = static
        return cls._of(definition, *children, output)

    @classmethod
    def _of(cls, *fields: Any) -> Network:
        network = object.__new__(cls)
        network._set(*fields)
        return network

    def _set(
        self, definition: Definition, params: PyTree, state: PyTree, output: Output | None
    ) -> None:
        fields = {"definition": definition, "params": params, "state": state, "output": output}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"a Network is immutable; make another with with_params, not network.{name} = ..."
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Network is immutable; network.{name} cannot be deleted")

    def __repr__(self) -> str:
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(self.params)]
        num_entries = sum(math.prod(shape) for shape in shapes)
        return f"Network({self.name}, params: {len(shapes)} arrays with {num_entries:,} entries)"


def _with_arrays(defined: tuple[Definition, PyTree, PyTree]) -> tuple[Definition, PyTree, PyTree]:
    """Turns NumPy arrays and floats into JAX arrays, whose dtypes are the same inside of jit."""
    definition, params, state = defined

    def as_array(leaf: Any) -> Any:
        return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.number | float) else leaf

    return definition, jax.tree.map(as_array, params), jax.tree.map(as_array, state)


def _call_logits(network: Network, x: PyTree) -> Array:
    return network.logits(x)


_jitted_logits = jax.jit(_call_logits)
