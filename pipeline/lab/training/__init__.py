"""Train crop scorers on photos whose crops people scored; `fit.fit` runs a whole training.

settings, job         the options of a training, and how it starts
split, samples        its photos: how they are split, and their samples for the network
fit                   one training in its folder, from the checkpoint there to weights and card
loop, parameters      the steps of one process, and the parameters that they train
losses, schedule      the loss of a photo's crops; learning rate and averaged weights
history, watch        its epochs and their plot, and progress reports
resume, card          the checkpoint, also of an interrupted epoch, and the card of the weights
ray_train             the same in several processes
"""
