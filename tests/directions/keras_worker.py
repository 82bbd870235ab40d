import keras

import clr_keras
import relay


class Run:
    def __init__(self, optimizer, record, weights, moments):
        layers = [keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(10)]
        self.model = keras.Sequential([keras.layers.Input((64,)), *layers])
        self.model.set_weights(weights)
        if optimizer == "sgd":
            # Keras's own form of the velocity has the rate in it, which nobody else could use.
            self.optimizer = clr_keras.from_record(record, clr_keras.SGD, torch_velocity=True)
        else:
            self.optimizer = clr_keras.from_record(record, clr_keras.Adam, epsilon=1e-30)
        self.optimizer.build(self.model.trainable_variables)
        clr_keras.from_moments(moments, self.optimizer)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(self.optimizer, loss)

    def update(self, images, labels):
        momentum = getattr(self.optimizer, self.optimizer.scheduled)
        used = float(self.optimizer.learning_rate), momentum
        self.model.train_on_batch(images, labels)
        return used

    def save(self, folder):
        record, moments = clr_keras.to_record(self.model), clr_keras.to_moments(self.optimizer)
        relay.save(folder, record, self.model.get_weights(), moments)


if __name__ == "__main__":
    relay.main(Run)
