"""A small trained classifier of camera motion, and everything that reproduces it.

The package holds a PP-TSMv2 network (PP-LCNetV2 backbone with one temporal shift) that looks at
eight frames and names the motion of the camera: still, pan, tilt, zoom or rotate. The training
data is synthetic: procedural textures under an affine camera path, so nothing has to be
downloaded, a seed reproduces the weights, and no single frame gives the class away.

Modules:
    labels: the classes, and which class each becomes when a clip is played backwards.
    textures: procedural pictures to look at.
    camera: motion classes as one affine transform per frame.
    clips: textures seen through a moving camera, with photometric variation.
    network: the network in PyTorch, parameter names as in PaddleVideo.
    checkpoint: conversion between the PyTorch state and Paddle's ``.pdparams``.
    train, evaluate: command line programs.
    demo: the built-in demonstration video.
"""
