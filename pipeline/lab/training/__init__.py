"""Train crop scorers on photos whose crops people scored; `fit.fit` does all of it.

settings, job     what a training is asked to do, and how it is begun
split, samples    its photos: which of them learn, and their samples for the network
fit               one training in its folder, from the checkpoint there to weights and card
loop, parameters  the steps of one process, and what learns in them
losses, schedule  the loss of a photo's crops; learning rate and averaged weights
history, partway  how far it is: whole epochs, and an interrupted one
resume, card      the file it goes on from, and what is said of the weights
curves, watch     what a person sees of it
ray_train         the same in several processes
"""
