"""GenConViT (Wodajo, Atnafu & Akhtar 2023, arXiv:2307.07036): a generative convolutional vision transformer.

An autoencoder (ED) or a variational one (VAE) draws each frame again, and a hybrid of ConvNeXt and Swin looks at the
frame and at what was drawn. Each part sees what the others miss:

- ConvNeXt has small windows that slide: it finds traces of generators and of blending that are local, such as the
  checkerboard of upsampling or another noise inside of a face.
- Swin compares windows with each other: it finds what is wrong between places, such as light, symmetry and the seam
  of a face against its surroundings, and it is hurt less by compression, which takes the local traces first.
- The reconstruction is what is usual: a bottleneck keeps what most frames have in common. What is left of the frame
  beside it is texture, noise and artifact, in which a forgery shows although its picture is convincing. The variational
  bottleneck is the smoother of the two, so that ED and VAE err on different frames, and together they are better.

It should help most on forgeries of good quality, where a plain classifier learns identities and backgrounds instead,
and beside a classifier of another kind, whose mistakes are others. It costs: both networks run twice a frame, some 40
times what the smallest MobileNetV4 takes.

There are two networks. `described.DescribedNetwork`, the default, is what the paper describes.
`published.PublishedNetwork` is what the authors' code computes (github.com/erprogs/GenConViT), for their weights
(`released.py`): there ConvNeXt alone runs, the reconstruction is of normalized pixels, the variance of the VAE is that
of its mean, and it draws when it predicts as well. This package is written from a description of both; their code,
which is under the GPL, is not in it.
"""
