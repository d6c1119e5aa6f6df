"""The one bibliography. Statements, methods and certificates cite its keys; a test proves that every citation resolves."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UnknownKey


@dataclass(frozen=True)
class Reference:
    """One entry: BibTeX kind, authors ("A. One and B. Two"), title, year, and where it appeared."""

    key: str
    kind: str
    author: str
    title: str
    year: int
    venue: str = ""
    eprint: str = ""

    def bibtex(self) -> str:
        """The entry in BibTeX."""
        venue = {"article": "journal", "inproceedings": "booktitle", "phdthesis": "school", "book": "publisher"}.get(
            self.kind, "note"
        )
        fields = [("author", self.author), ("title", "{" + self.title + "}"), ("year", str(self.year))]
        fields += [(venue, self.venue)] if self.venue else []
        fields += [("eprint", self.eprint), ("archiveprefix", "arXiv")] if self.eprint else []
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields)
        return f"@{self.kind}{{{self.key},\n{body}\n}}"

    def line(self) -> str:
        """One readable line."""
        where = ", ".join(
            part for part in (self.venue, f"arXiv:{self.eprint}" if self.eprint else "", str(self.year)) if part
        )
        return f"{self.author.replace(' and ', ', ')}: {self.title}. {where}."


REFERENCES = (
    Reference("here", "misc", "{The nonvacuous developers}", "Derived in this package", 2026, "nonvacuous"),
    Reference("donsker1975", "article", "M. D. Donsker and S. R. S. Varadhan", "Asymptotic evaluation of certain Markov process expectations for large time, I", 1975, "Communications on Pure and Applied Mathematics"),
    Reference("seeger2002", "article", "M. Seeger", "PAC-Bayesian generalisation error bounds for Gaussian process classification", 2002, "Journal of Machine Learning Research"),
    Reference("langford2005", "article", "J. Langford", "Tutorial on practical prediction theory for classification", 2005, "Journal of Machine Learning Research"),
    Reference("maurer2004", "misc", "A. Maurer", "A note on the PAC Bayesian theorem", 2004, "", "cs/0411099"),
    Reference("riordan1968", "book", "J. Riordan", "Combinatorial identities", 1968, "Wiley"),
    Reference("germain2009", "inproceedings", "P. Germain and A. Lacasse and F. Laviolette and M. Marchand", "PAC-Bayesian learning of linear classifiers", 2009, "International Conference on Machine Learning"),
    Reference("germain2015", "article", "P. Germain and A. Lacasse and F. Laviolette and M. Marchand and J.-F. Roy", "Risk bounds for the majority vote: from a PAC-Bayesian analysis to a learning algorithm", 2015, "Journal of Machine Learning Research"),
    Reference("begin2016", "inproceedings", "L. Bégin and P. Germain and F. Laviolette and J.-F. Roy", "PAC-Bayesian bounds based on the Rényi divergence", 2016, "International Conference on Artificial Intelligence and Statistics"),
    Reference("dziugaite2017", "inproceedings", "G. K. Dziugaite and D. M. Roy", "Computing nonvacuous generalization bounds for deep (stochastic) neural networks with many more parameters than training data", 2017, "Uncertainty in Artificial Intelligence", "1703.11008"),
    Reference("perezortiz2021", "article", "M. Pérez-Ortiz and O. Rivasplata and J. Shawe-Taylor and C. Szepesvári", "Tighter risk certificates for neural networks", 2021, "Journal of Machine Learning Research", "2007.12911"),
    Reference("chernoff1952", "article", "H. Chernoff", "A measure of asymptotic efficiency for tests of a hypothesis based on the sum of observations", 1952, "Annals of Mathematical Statistics"),
    Reference("cramer1938", "inproceedings", "H. Cramér", "Sur un nouveau théorème-limite de la théorie des probabilités", 1938, "Actualités Scientifiques et Industrielles 736"),
    Reference("masegosa2025", "article", "A. R. Masegosa and L. A. Ortega", "PAC-Chernoff bounds: understanding generalization in the interpolation regime", 2025, "Journal of Artificial Intelligence Research", "2306.10947"),
    Reference("wenger2025", "misc", "J. Wenger and B. Coker and J. Marusic and J. P. Cunningham", "Variational deep learning via implicit regularization", 2025, "", "2505.20235"),
    Reference("gelbrich1990", "article", "M. Gelbrich", "On a formula for the L2 Wasserstein metric between measures on Euclidean and Hilbert spaces", 1990, "Mathematische Nachrichten"),
    Reference("neal1996", "book", "R. M. Neal", "Bayesian learning for neural networks", 1996, "Springer"),
    Reference("cho2009", "inproceedings", "Y. Cho and L. K. Saul", "Kernel methods for deep learning", 2009, "Advances in Neural Information Processing Systems"),
    Reference("williams1996", "inproceedings", "C. K. I. Williams", "Computing with infinite networks", 1996, "Advances in Neural Information Processing Systems"),
    Reference("lee2018", "inproceedings", "J. Lee and Y. Bahri and R. Novak and S. S. Schoenholz and J. Pennington and J. Sohl-Dickstein", "Deep neural networks as Gaussian processes", 2018, "International Conference on Learning Representations", "1711.00165"),
    Reference("matthews2018", "inproceedings", "A. G. de G. Matthews and M. Rowland and J. Hron and R. E. Turner and Z. Ghahramani", "Gaussian process behaviour in wide deep neural networks", 2018, "International Conference on Learning Representations", "1804.11271"),
    Reference("jacot2018", "inproceedings", "A. Jacot and F. Gabriel and C. Hongler", "Neural tangent kernel: convergence and generalization in neural networks", 2018, "Advances in Neural Information Processing Systems", "1806.07572"),
    Reference("lee2019", "inproceedings", "J. Lee and L. Xiao and S. S. Schoenholz and Y. Bahri and R. Novak and J. Sohl-Dickstein and J. Pennington", "Wide neural networks of any depth evolve as linear models under gradient descent", 2019, "Advances in Neural Information Processing Systems", "1902.06720"),
    Reference("zanger2026", "inproceedings", "M. A. Zanger and Y. Wu and P. R. Van der Vaart and W. Böhmer and M. T. J. Spaan", "On the equivalence of random network distillation, deep ensembles, and Bayesian inference", 2026, "Uncertainty in Artificial Intelligence", "2602.19964"),
    Reference("burda2018", "misc", "Y. Burda and H. Edwards and A. Storkey and O. Klimov", "Exploration by random network distillation", 2018, "", "1810.12894"),
    Reference("immer2021", "inproceedings", "A. Immer and M. Korzepa and M. Bauer", "Improving predictions of Bayesian neural nets via local linearization", 2021, "International Conference on Artificial Intelligence and Statistics", "2008.08400"),
    Reference("ortega2024", "inproceedings", "L. A. Ortega and S. Rodríguez Santana and D. Hernández-Lobato", "Variational linearized Laplace approximation for Bayesian deep learning", 2024, "International Conference on Machine Learning", "2302.12565"),
    Reference("wieczorek2026", "misc", "T. J. Wieczorek and L. de Andrade and T. Möllenhoff and M. Rohrbach", "Calibrated sampling-free uncertainty estimation in Bayesian deep learning", 2026, "", "2606.16214"),
    Reference("frey1999", "article", "B. J. Frey and G. E. Hinton", "Variational learning in nonlinear Gaussian belief networks", 1999, "Neural Computation"),
    Reference("rosso2025", "misc", "M. Rosso and S. Rossi and G. Franzese and M. Heinonen and M. Filippone", "Scaling laws for uncertainty in deep learning", 2025, "", "2506.09648"),
    Reference("anderson2003", "book", "T. W. Anderson", "An introduction to multivariate statistical analysis", 2003, "Wiley"),
)  # fmt: skip

_BY_KEY = {reference.key: reference for reference in REFERENCES}


def find(key: str) -> Reference:
    """The entry called `key`."""
    try:
        return _BY_KEY[key]
    except KeyError:
        raise UnknownKey(f"No reference is called {key!r}.", f"Known: {', '.join(sorted(_BY_KEY))}.") from None
