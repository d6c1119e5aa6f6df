"""Where the course teaches a result, for results whose own file does not say so. Laid over the catalogue, like figures: no verdict becomes stale."""

_BY_NOTEBOOK = {
    "06_from_one_neuron_to_a_kernel": (
        "iw.price_identity",
        "iw.dual.relu",
        "iw.nngp_limit",
        "iw.ntk_recursion",
        "iw.gap_propagation",
        "iw.ntk_kink",
        "iw.fw_unbiased_1layer",
        "iw.fw_relu_var",
    ),
    "07_what_a_deep_ensemble_knows": (
        "iw.lin_cov_inf",
        "iw.nngp_top_layer",
        "iw.excess_decomposition",
        "iw.loewner_chain",
        "iw.adding_a_point",
    ),
    "08_what_rnd_measures": (
        "iw.row_space_invariance",
        "iw.rnd_error_law",
        "iw.rnd_equals_ensemble",
        "iw.rnd_linear_smoother",
        "iw.rnd_variants",
        "iw.head_independence",
        "iw.rnd_heads_chi2",
        "iw.rnd_head_saturation",
    ),
    "09_sampling_a_posterior_by_distillation": (
        "iw.readout_split",
        "iw.centered_network",
        "iw.ntkgp_posterior",
        "iw.sto_finite",
        "iw.brnd_target",
        "iw.brnd_error_law",
        "iw.brnd_noise",
        "iw.brnd_sampling",
        "iw.brnd_breaks",
    ),
    "10_where_finite_networks_leave_the_theory": (
        "iw.linearisation",
        "iw.fw_kappa_var",
        "iw.rnd_finite_width",
        "iw.feature_vs_lazy",
    ),
    "11_the_projector_that_training_hides": (
        "ib.ls_minnorm",
        "ib.ls_trajectory",
        "ib.ls_momentum",
        "ib.ls_precond",
        "ib.ls_sgd",
    ),
    "12_a_prior_you_never_wrote_down": (
        "ib.w2_gauss",
        "ib.regression_w2",
        "ib.ensemble_equiv",
        "ib.mc_stability",
    ),
    "13_maximum_margin_in_logarithmic_time": (
        "ib.logit_maxmargin",
        "ib.logit_residual",
        "ib.class_w2",
        "ib.class_rates",
        "ib.class_nonspan",
        "ib.class_overconfidence",
    ),
    "14_from_deep_ensembles_to_bayes": (
        "ib.precond_bayes",
        "ib.kl_compare",
        "ib.gvi_path",
        "ib.function_space",
    ),
    "15_implicit_bias_inference_on_real_images": ("ib.fixed_noise",),
}

NOTEBOOKS = {key: notebook for notebook, keys in _BY_NOTEBOOK.items() for key in keys}
