import jax
import jax.numpy as jnp
import optax

import clr_jax
import relay


def loss(weights, images, labels):
    hidden = jnp.tanh(images @ weights["hidden"]["kernel"] + weights["hidden"]["bias"])
    logits = hidden @ weights["last"]["kernel"] + weights["last"]["bias"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


class Run:
    jitted = {}  # noqa: RUF012 - one compilation of each for all runs of a process

    def __init__(self, optimizer, record, weights, moments):
        kernel, bias, last_kernel, last_bias = map(jnp.asarray, weights)
        self.weights = {
            "hidden": {"kernel": kernel, "bias": bias},
            "last": {"kernel": last_kernel, "bias": last_bias},
        }
        factory, static = (optax.sgd, {}) if optimizer == "sgd" else (optax.adam, {"eps": 1e-30})
        made, state = clr_jax.from_record(record, factory, self.weights, **static)
        self.state = clr_jax.from_moments(moments.rearranged(swapped), state)
        self.schedule = record.schedule

        def update(weights, state, images, labels):
            gradients = jax.grad(loss)(weights, images, labels)
            updates, state = made.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), state

        self.jitted_update = self.jitted.setdefault((optimizer, record.schedule), jax.jit(update))

    def update(self, images, labels):
        self.weights, self.state = self.jitted_update(self.weights, self.state, images, labels)
        return clr_jax.current_lr(self.state), clr_jax.current_momentum(self.state)

    def save(self, folder):
        record = clr_jax.to_record(self.schedule, self.state)
        moments = clr_jax.to_moments(self.state, record.step)
        weights = swapped(jax.tree.leaves(self.weights))
        relay.save(folder, record, weights, moments.rearranged(swapped))


def swapped(arrays):
    """JAX sorts the keys of a dict: the bias comes before the kernel."""
    return [arrays[1], arrays[0], arrays[3], arrays[2]]


if __name__ == "__main__":
    relay.main(Run)
