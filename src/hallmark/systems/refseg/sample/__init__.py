"""A generated world of flat shapes and expressions for them, in the schema of refcoco-m."""
