"""Plain nn.Modules: tensors in, tensors out; no Lightning, no files."""
