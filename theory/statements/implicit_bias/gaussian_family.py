"""The Gaussian family N(mu, S S^T): expected losses and their gradients, the flow they induce, the distance W2."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement

GAUSS_IDENTITIES = Statement(
    key="ib.gauss_identities",
    title="Expected losses of a Gaussian linear model and their gradients",
    kind=Kind.IDENTITY,
    text="For w ~ N(mu, S S^T) the margin u_n = x_n^T w is N(m_n, v_n), m_n = x_n^T mu, v_n = ||S^T x_n||^2. Then "
    "E (y-u)^2/2 = (y-m)^2/2 + v/2 and E exp(-u) = exp(-m + v/2), and for every smooth phi, L = sum E phi(u_n): "
    "dL/dmu = sum E[phi'(u_n)] x_n and dL/dS = sum E[phi''(u_n)] x_n x_n^T S, which equals the reparametrised "
    "sum E[phi'(u_n) x_n z^T]. For convex phi, mu and every column of S move in the span of the rows alone, and S^T S, hence "
    "||S||_F, never increases: not under the gradient flow and not under steps eta with eta E Hess l <= 2 I.",
    latex=r"\frac{\partial L}{\partial \mu} = \sum_n \mathbb{E}[\phi'(u_n)]\, x_n, \qquad "
    r"\frac{\partial L}{\partial S} = \sum_n \mathbb{E}[\phi''(u_n)]\, x_n x_n^\top S",
    source=(
        Source(
            "here", "", "known as Stein's, Price's or Bonnet's identities; the monotone spread is derived", "derived"
        ),
    ),
    assumptions=(
        Assumption("growth", "phi, phi' and phi'' grow at most exponentially."),
        Assumption("convex", "phi'' >= 0, for the monotone spread alone."),
    ),
    function="nonvacuous.numerics.implicit_bias.expected_losses.expected_loss",
)

W2_GAUSS = Statement(
    key="ib.w2_gauss",
    title="The 2-Wasserstein distance of Gaussian laws, straight from their factors",
    kind=Kind.IDENTITY,
    text="W2^2(N(m1, S1 S1^T), N(m2, S2 S2^T)) = ||m1 - m2||^2 + ||S1||_F^2 + ||S2||_F^2 - 2 ||S1^T S2||_* with the nuclear norm "
    "of the cross product, for factors of any rank, singular covariances included. It is also ||m1 - m2||^2 plus the least "
    "||S1 - S2 O||_F^2 over orthogonal O, attained by the polar factor of S2^T S1, and equals the Bures formula "
    "tr(A + B - 2 (A^{1/2} B A^{1/2})^{1/2}) in the covariances. No two laws with these means and covariances, Gaussian or not, "
    "are nearer. The polar form keeps the digits of W2 where the laws nearly agree; the nuclear form loses half of them.",
    latex=r"W_2^2 = \|m_1 - m_2\|^2 + \|S_1\|_F^2 + \|S_2\|_F^2 - 2\, \|S_1^\top S_2\|_{*}",
    source=(
        Source("gelbrich1990", "", "the Bures formula and the lower bound for other laws", "secondary"),
        Source("here", "", "both factor forms and their accuracy", "derived"),
    ),
    function="nonvacuous.numerics.implicit_bias.wasserstein.wasserstein2",
)

BW_FLOW = Statement(
    key="ib.bw_flow",
    title="Training mean and factor is the Wasserstein gradient flow of the expected loss",
    kind=Kind.EQUIVALENCE,
    text="The gradient flow mu' = -E grad l, S' = -G S, G = E Hess l, moves the covariance by Sigma' = -(G Sigma + Sigma G): the "
    "2-Wasserstein gradient flow of q -> E_q l restricted to Gaussian laws, of any rank, without the entropy term. Its speed in W2 "
    "is |grad L| = (||E grad l||^2 + ||G S||_F^2)^(1/2), L falls at the rate |grad L|^2, and for convex losses "
    "L(q') >= L(q) - |grad L| W2(q, q') for every Gaussian q'. An entropy term would add the diffusion 2 I to Sigma': "
    "dropping the divergence is dropping the diffusion. A triangular factor does not follow this flow.",
    latex=r"\mu' = -\mathbb{E} \nabla \ell, \quad S' = -G S \quad \Rightarrow \quad \Sigma' = -(G \Sigma + \Sigma G), \qquad "
    r"G = \mathbb{E}\, \nabla^2 \ell",
    source=(
        Source("lambert2022", "", "the flow with the entropy term, for nonsingular covariances", "secondary"),
        Source("here", "", "factors of any rank and the slope bound", "derived"),
    ),
    assumptions=(Assumption("convex", "phi'' >= 0, for the slope bound alone."),),
    function="nonvacuous.numerics.implicit_bias.gaussian_flow.flow_velocity",
)

STATEMENTS: tuple[Statement, ...] = (GAUSS_IDENTITIES, W2_GAUSS, BW_FLOW)
