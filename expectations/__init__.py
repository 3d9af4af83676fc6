"""Great Expectations of the warehouse, and the gate that enforces them."""
