"""Rows to numbers: binding columns to ports, checking, what encoders learn, blocks of bytes."""
