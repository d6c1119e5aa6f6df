"""What an algorithm remembers bounds its expected generalization gap: mutual information, conditional and evaluated."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import BOUNDED_LOSS, IID

SUB_GAUSSIAN_LOSS = Assumption(
    "sub-Gaussian loss",
    "ln E e^(l (loss - E loss)) <= sigma^2 l^2/2 for every real l and every predictor; losses in [a, b] have sigma = (b - a)/2.",
)
GIVEN_INFORMATION = Assumption(
    "information", "The mutual information is at most the number given; no sample shows that."
)
INTERPOLATING = Assumption("form", "For the interpolating form, the training loss is 0 almost surely.")

INFO_MI = Statement(
    key="pb.info_mi",
    title="Mutual-information bound on the expected gap",
    kind=Kind.EXPECTATION,
    text="Let W be learned from n i.i.d. examples S = (Z_1..Z_n), perhaps at random, with a sigma-sub-Gaussian loss. Then "
    "|E (L(W) - Lh(W))| <= mean over i of sqrt(2 sigma^2 I(W;Z_i)) <= sqrt(2 sigma^2 I(W;S)/n).",
    latex=r"|\mathbb{E} [L(W) - \hat L(W)]| \le \frac{1}{n} \sum_{i=1}^n \sqrt{2 \sigma^2 I(W; Z_i)} \le \sqrt{\frac{2 \sigma^2 I(W; S)}{n}}",
    source=(
        Source("xu2017", "", "the bound by I(W;S)", "secondary"),
        Source("bu2020", "", "individual samples", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, SUB_GAUSSIAN_LOSS, GIVEN_INFORMATION),
    function="nonvacuous.bounds.mutual_information",
)

INFO_CMI = Statement(
    key="pb.info_cmi",
    title="Conditional mutual information",
    kind=Kind.EXPECTATION,
    text="Of n pairs of i.i.d. examples (the supersample) one each is trained on, chosen by fair coins U; losses in [0, 1]. With CMI = I(W;U|supersample), "
    "or the evaluated I(losses;U|supersample), which is no larger: |E (L - Lh)| <= sqrt(2 CMI/n). If the training loss is surely 0: "
    "E L <= CMI/(n ln 2).",
    latex=r"|\mathbb{E} [L - \hat L]| \le \sqrt{\frac{2\, \mathrm{CMI}}{n}}, \qquad \hat L = 0 \Rightarrow \mathbb{E} L \le \frac{\mathrm{CMI}}{n \ln 2}",
    source=(
        Source("steinke2020", "", "evaluated form and interpolating constant derived here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, BOUNDED_LOSS, GIVEN_INFORMATION, INTERPOLATING),
    function="nonvacuous.bounds.conditional_information",
)

INFO_CMI_KL = Statement(
    key="pb.info_cmi_kl",
    title="Evaluated conditional mutual information, binary relative entropy",
    kind=Kind.EXPECTATION,
    text="For losses in [0, 1] and eCMI = I(losses;U|supersample): kl(E Lh||(E Lh + E L)/2) <= eCMI/n, so E L <= 2 UP(E Lh, eCMI/n) - E Lh and "
    "E L >= 2 LO(E Lh, eCMI/n) - E Lh.",
    latex=r"\mathrm{kl}\left( \mathbb{E} \hat L \| \frac{\mathbb{E} \hat L + \mathbb{E} L}{2} \right) \le \frac{\mathrm{eCMI}}{n}",
    source=(
        Source("hellstrom2022", "", "", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, BOUNDED_LOSS, GIVEN_INFORMATION),
    function="nonvacuous.bounds.conditional_information_kl",
)

STATEMENTS: tuple[Statement, ...] = (INFO_MI, INFO_CMI, INFO_CMI_KL)
