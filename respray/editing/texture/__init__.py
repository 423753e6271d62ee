"""Materials in perspective: the camera from the photo's lines, planes and their homographies, and sampling without aliasing."""
