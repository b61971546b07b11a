"""The provider's side: pooled connections, cancellable exchanges, foreign exceptions turned into ours."""
