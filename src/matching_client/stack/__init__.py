"""What a project is made of, read from its manifests: framework, languages, complexity factors.

`readers` knows the manifests' formats, `rules.toml` what the names in them mean, `detection` where to look.
"""

from matching_client.stack.detection import detect_stack

__all__ = ["detect_stack"]
