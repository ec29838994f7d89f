"""What more than one service needs; imported by services, imports none of them."""
