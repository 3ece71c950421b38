"""The wire: servicers, conversion, authentication, errors, observability."""
