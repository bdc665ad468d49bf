"""Who rewrites a query that was not understood: an endpoint, a local model, rules, or an arm of a study."""
