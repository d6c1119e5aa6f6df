"""Laws of trained wide networks: dynamics, ensembles, posteriors, distillation."""
