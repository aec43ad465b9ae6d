"""Who may ask: client keys of a loop with scopes and quotas, identities of Entra, and how much each has asked."""
