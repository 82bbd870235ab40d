"""What a schedule is, and every kind of one."""
