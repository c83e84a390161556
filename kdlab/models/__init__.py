"""Networks: the CIFAR families, any network from config, its weights, and its own preprocessing."""
