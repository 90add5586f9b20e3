"""Semantic-MD: an encoder-decoder with semantics as input or as further heads."""
