"""The closed list of textbook facts that a derivation may use without proof. Everything else is derived or cited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TextbookAxiom:
    """A named fact of measure theory, probability or analysis, with the form in which derivations use it."""

    name: str
    text: str


MARKOV = TextbookAxiom("Markov", "For X >= 0 and delta > 0: P(X > E X / delta) <= delta.")
FUBINI = TextbookAxiom("Fubini-Tonelli", "Integrals of a non-negative measurable function may be exchanged.")
JENSEN = TextbookAxiom("Jensen", "f(E X) <= E f(X) for convex f and integrable X.")
RADON_NIKODYM = TextbookAxiom("Radon-Nikodym", "If Q << P there is a density dQ/dP, unique P-almost surely.")
INDEPENDENCE = TextbookAxiom("Independence", "Expectations of products of independent integrable variables factorise.")
LINEARITY = TextbookAxiom("Linearity", "Expectation is linear; a covariance is bilinear.")
TOTAL_VARIANCE = TextbookAxiom("Total variance", "Var Y = E Var(Y|X) + Var E(Y|X).")
CONDITIONING = TextbookAxiom(
    "Conditioning", "If X is independent of Y then, given Y = y, X keeps its law and y may be treated as a constant."
)
STRONG_LAW = TextbookAxiom(
    "Law of large numbers", "Averages of i.i.d. integrable variables converge almost surely to the mean."
)
CLT = TextbookAxiom(
    "Central limit theorem", "Normalised sums of i.i.d. square-integrable variables converge to a Gaussian law."
)
LEVY = TextbookAxiom(
    "Levy continuity", "Laws converge weakly iff characteristic functions converge to one continuous at 0."
)
GAUSSIAN_AFFINE = TextbookAxiom(
    "Gaussian affine image", "A X + b is Gaussian with mean A m + b and covariance A S A^T for Gaussian X."
)
SPECTRAL = TextbookAxiom("Spectral theorem", "A real symmetric matrix is diagonal in an orthonormal basis.")
SVD = TextbookAxiom("Singular values", "Every real matrix is U diag(s) V^T with orthonormal U, V and s >= 0.")
CONTRACTION = TextbookAxiom(
    "Linear contraction", "A^t x -> 0 at rate rho^t if the symmetric A has spectral radius rho < 1."
)
CONVEX_UNIQUE = TextbookAxiom(
    "Projection", "A point has a unique closest point in a closed convex set of a Hilbert space."
)
KKT = TextbookAxiom(
    "KKT", "For a convex problem with affine constraints the KKT conditions are necessary and sufficient."
)
COUPLING = TextbookAxiom("Optimal coupling", "Laws with finite second moments have a coupling that attains W2.")
PROKHOROV = TextbookAxiom(
    "Continuous mapping", "A continuous function preserves convergence in law and in probability."
)
MONOTONE_INVERSE = TextbookAxiom(
    "Intermediate value", "A continuous strictly monotone function has a unique inverse on its range."
)
ODE = TextbookAxiom("Linear ODE", "x' = A x + b has the unique solution e^{tA} x(0) + int_0^t e^{(t-s)A} b ds.")
LEGENDRE = TextbookAxiom("Legendre duality", "A closed convex function equals its biconjugate.")
CHERNOFF = TextbookAxiom("Chernoff", "P(X >= a) <= E e^{l (X - a)} for every l >= 0.")
WISHART = TextbookAxiom(
    "Wishart",
    "For X with N rows N(0, S) in R^p and fixed x: x^T S^{-1} x / x^T (X^T X)^{-1} x is chi-square with N-p+1 degrees.",
)
BETA_MOMENTS = TextbookAxiom(
    "Gamma ratio", "chi2_a / (chi2_a + chi2_b) of independent chi-squares is Beta(a/2, b/2), independent of the sum."
)

UNION = TextbookAxiom("Union bound", "P(some A_i) <= sum of P(A_i) over countably many events.")
VILLE = TextbookAxiom("Ville", "A non-negative supermartingale with M_0 = 1 has P(M_t >= 1/delta for some t) <= delta.")
HOLDER = TextbookAxiom("Hoelder", "E |X Y| <= (E |X|^p)^{1/p} (E |Y|^q)^{1/q} for 1/p + 1/q = 1, p > 1.")
CAUCHY_SCHWARZ = TextbookAxiom("Cauchy-Schwarz", "(E X Y)^2 <= E X^2 E Y^2.")
CHAIN_RULE = TextbookAxiom(
    "Chain rule", "KL of joint laws is that of one marginal plus the mean KL of the conditionals."
)
DATA_PROCESSING = TextbookAxiom("Data processing", "A Markov kernel does not increase relative entropy.")
BASEL = TextbookAxiom("Basel", "The sum of 1/b^2 over b = 1, 2, 3, ... is pi^2/6.")
KRAFT = TextbookAxiom("Kraft", "Code lengths b_i of a prefix-free binary code satisfy sum of 2^-b_i <= 1.")
TOWER = TextbookAxiom("Tower property", "E X = E E[X|Y].")
MINIMAX = TextbookAxiom(
    "Sion",
    "inf and sup of a function that is convex in one and concave in the other argument commute when one set is compact.",
)
ENVELOPE = TextbookAxiom(
    "Envelope theorem",
    "At a unique interior optimiser the derivative of an optimal value is the partial derivative there.",
)
BETA_BINOMIAL = TextbookAxiom(
    "Beta and binomial tails",
    "P(Bin(n,p) <= k) = P(Beta(k+1, n-k) > p) for 0 <= k < n: both have the same derivative in p.",
)
HERBST = TextbookAxiom(
    "Herbst", "Under Ent(f^2) <= 2 c E|grad f|^2, a G-Lipschitz f has ln E e^{l (f - E f)} <= c G^2 l^2/2."
)
DIFFERENTIATION = TextbookAxiom(
    "Differentiation under the integral",
    "d/dt E f(X,t) = E df/dt(X,t) where df/dt near t is dominated by one integrable variable.",
)
KANTOROVICH = TextbookAxiom("Kantorovich-Rubinstein", "|E_Q f - E_P f| <= Lip(f) W1(Q,P) for every Lipschitz f.")

LAGRANGE = TextbookAxiom(
    "Lagrange inversion",
    "If T = x g(T) as power series with g(0) not 0, then [x^n] H(T(x)) = [t^n] H(t) g(t)^(n-1) (g(t) - t g'(t)).",
)

MCDIARMID = TextbookAxiom(
    "McDiarmid",
    "If changing one of n independent inputs changes g by at most c/n, then P(g - E g >= c sqrt(ln(1/delta)/(2n))) <= delta.",
)
RADEMACHER_CONTRACTION = TextbookAxiom(
    "Ledoux-Talagrand contraction",
    "E sup_f sum_i s_i l_i(f(x_i)) <= E sup_f sum_i s_i f(x_i) for 1-Lipschitz l_i and independent fair signs s_i.",
)

GAUSSIAN_INDEPENDENCE = TextbookAxiom(
    "Uncorrelated Gaussians", "Parts of a jointly Gaussian vector are independent if their cross-covariance is 0."
)
BOUNDED_CONVERGENCE = TextbookAxiom(
    "Bounded convergence", "If |X_n| <= c and X_n -> X in probability, then E |X_n - X| -> 0."
)

FUNK_HECKE = TextbookAxiom(
    "Funk-Hecke",
    "A function of x.y on the unit sphere acts on harmonics of degree k as the mean of it times P_k(x.y), P_k Gegenbauer, P_k(1) = 1.",
)

DESCENT_LEMMA = TextbookAxiom(
    "Descent lemma",
    "If f'' <= M along the segment from x to x - s grad f, then f falls along it by at least s (1 - s M/2) |grad f|^2.",
)
CONVEX_FLOW = TextbookAxiom(
    "Convex gradient flow",
    "x' = -grad F(x) + e(t), F convex with a minimiser and |e| integrable, converges to a minimiser of F.",
)
LINEARISED_DECAY = TextbookAxiom(
    "Linearised decay",
    "If x -> 0 solves x' = -A x + O(|x|^2 + e^{-c t}) with A symmetric positive definite, then x = O(e^{-min(lambda_min, c) t}), "
    "with a factor t in case of a tie.",
)
PERRON = TextbookAxiom(
    "Perron-Frobenius",
    "A linear map that preserves a proper cone has its spectral radius as an eigenvalue, with an eigenvector in the cone.",
)

ROBBINS_MONRO = TextbookAxiom(
    "Robbins-Monro",
    "If r_{t+1} = r_t + (-grad F(r_t) + xi_t)/t + O(t^-2) stays bounded, xi_t martingale differences bounded on bounded sets and F convex "
    "with a unique minimiser, then r_t converges to it almost surely.",
)

AXIOMS = tuple(value for value in list(globals().values()) if isinstance(value, TextbookAxiom))
