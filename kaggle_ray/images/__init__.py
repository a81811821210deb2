"""Pixels: decoding, the decode-once cache, augmentation."""
