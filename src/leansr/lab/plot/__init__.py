"""Figures as the papers print them, drawn from what is printed and what is measured."""
