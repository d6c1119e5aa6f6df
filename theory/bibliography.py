"""The one bibliography. Statements, methods and certificates cite its keys; a test proves that every citation resolves."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UnknownKey, did_you_mean


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
    Reference("soudry2018", "article", "D. Soudry and E. Hoffer and M. S. Nacson and S. Gunasekar and N. Srebro", "The implicit bias of gradient descent on separable data", 2018, "Journal of Machine Learning Research", "1710.10345"),
    Reference("nacson2019", "inproceedings", "M. S. Nacson and N. Srebro and D. Soudry", "Stochastic gradient descent on separable data: exact convergence with a fixed learning rate", 2019, "International Conference on Artificial Intelligence and Statistics", "1806.01796"),
    Reference("gunasekar2018", "inproceedings", "S. Gunasekar and J. Lee and D. Soudry and N. Srebro", "Characterizing implicit bias in terms of optimization geometry", 2018, "International Conference on Machine Learning", "1802.08246"),
    Reference("woodworth2020", "inproceedings", "B. Woodworth and S. Gunasekar and J. D. Lee and E. Moroshko and P. Savarese and I. Golan and D. Soudry and N. Srebro", "Kernel and rich regimes in overparametrized models", 2020, "Conference on Learning Theory", "2002.09277"),
    Reference("gelbrich1990", "article", "M. Gelbrich", "On a formula for the L2 Wasserstein metric between measures on Euclidean and Hilbert spaces", 1990, "Mathematische Nachrichten"),
    Reference("lambert2022", "inproceedings", "M. Lambert and S. Chewi and F. Bach and S. Bonnabel and P. Rigollet", "Variational inference via Wasserstein gradient flows", 2022, "Advances in Neural Information Processing Systems", "2205.15902"),
    Reference("neal1996", "book", "R. M. Neal", "Bayesian learning for neural networks", 1996, "Springer"),
    Reference("cho2009", "inproceedings", "Y. Cho and L. K. Saul", "Kernel methods for deep learning", 2009, "Advances in Neural Information Processing Systems"),
    Reference("williams1996", "inproceedings", "C. K. I. Williams", "Computing with infinite networks", 1996, "Advances in Neural Information Processing Systems"),
    Reference("lee2018", "inproceedings", "J. Lee and Y. Bahri and R. Novak and S. S. Schoenholz and J. Pennington and J. Sohl-Dickstein", "Deep neural networks as Gaussian processes", 2018, "International Conference on Learning Representations", "1711.00165"),
    Reference("matthews2018", "inproceedings", "A. G. de G. Matthews and M. Rowland and J. Hron and R. E. Turner and Z. Ghahramani", "Gaussian process behaviour in wide deep neural networks", 2018, "International Conference on Learning Representations", "1804.11271"),
    Reference("jacot2018", "inproceedings", "A. Jacot and F. Gabriel and C. Hongler", "Neural tangent kernel: convergence and generalization in neural networks", 2018, "Advances in Neural Information Processing Systems", "1806.07572"),
    Reference("lee2019", "inproceedings", "J. Lee and L. Xiao and S. S. Schoenholz and Y. Bahri and R. Novak and J. Sohl-Dickstein and J. Pennington", "Wide neural networks of any depth evolve as linear models under gradient descent", 2019, "Advances in Neural Information Processing Systems", "1902.06720"),
    Reference("he2020", "inproceedings", "B. He and B. Lakshminarayanan and Y. W. Teh", "Bayesian deep ensembles via the neural tangent kernel", 2020, "Advances in Neural Information Processing Systems", "2007.05864"),
    Reference("osband2018", "inproceedings", "I. Osband and J. Aslanides and A. Cassirer", "Randomized prior functions for deep reinforcement learning", 2018, "Advances in Neural Information Processing Systems", "1806.03335"),
    Reference("matthews2017", "inproceedings", "A. G. de G. Matthews and J. Hron and R. E. Turner and Z. Ghahramani", "Sample-then-optimize posterior sampling for Bayesian linear models", 2017, "Advances in Approximate Bayesian Inference (NeurIPS workshop)"),
    Reference("zanger2026", "inproceedings", "M. A. Zanger and Y. Wu and P. R. Van der Vaart and W. Böhmer and M. T. J. Spaan", "On the equivalence of random network distillation, deep ensembles, and Bayesian inference", 2026, "Uncertainty in Artificial Intelligence", "2602.19964"),
    Reference("osband2021", "misc", "I. Osband and Z. Wen and S. M. Asghari and V. Dwaracherla and M. Ibrahimi and X. Lu and B. Van Roy", "Epistemic neural networks", 2021, "", "2107.08924"),
    Reference("burda2018", "misc", "Y. Burda and H. Edwards and A. Storkey and O. Klimov", "Exploration by random network distillation", 2018, "", "1810.12894"),
    Reference("ciosek2020", "inproceedings", "K. Ciosek and V. Fortuin and R. Tomioka and K. Hofmann and R. Turner", "Conservative uncertainty estimation by fitting prior networks", 2020, "International Conference on Learning Representations"),
    Reference("zanger2025csd", "misc", "M. A. Zanger and P. R. Van der Vaart and W. Böhmer and M. T. J. Spaan", "Contextual similarity distillation: ensemble uncertainties with a single model", 2025, "", "2503.11339"),
    Reference("zanger2025uvu", "misc", "M. A. Zanger and others", "Universal value-function uncertainties", 2025, "", "2505.21119"),
    Reference("laurent2000", "article", "B. Laurent and P. Massart", "Adaptive estimation of a quadratic functional by model selection", 2000, "The Annals of Statistics"),
    Reference("immer2021", "inproceedings", "A. Immer and M. Korzepa and M. Bauer", "Improving predictions of Bayesian neural nets via local linearization", 2021, "International Conference on Artificial Intelligence and Statistics", "2008.08400"),
    Reference("ortega2024", "inproceedings", "L. A. Ortega and S. Rodríguez Santana and D. Hernández-Lobato", "Variational linearized Laplace approximation for Bayesian deep learning", 2024, "International Conference on Machine Learning", "2302.12565"),
    Reference("wieczorek2026", "misc", "T. J. Wieczorek and L. de Andrade and T. Möllenhoff and M. Rohrbach", "Calibrated sampling-free uncertainty estimation in Bayesian deep learning", 2026, "", "2606.16214"),
    Reference("frey1999", "article", "B. J. Frey and G. E. Hinton", "Variational learning in nonlinear Gaussian belief networks", 1999, "Neural Computation"),
    Reference("rosso2025", "misc", "M. Rosso and S. Rossi and G. Franzese and M. Heinonen and M. Filippone", "Scaling laws for uncertainty in deep learning", 2025, "", "2506.09648"),
    Reference("anderson2003", "book", "T. W. Anderson", "An introduction to multivariate statistical analysis", 2003, "Wiley"),
    Reference("hoeffding1963", "article", "W. Hoeffding", "Probability inequalities for sums of bounded random variables", 1963, "Journal of the American Statistical Association"),
    Reference("kearns1998", "inproceedings", "M. Kearns and L. Saul", "Large deviation methods for approximate probabilistic inference", 1998, "Conference on Uncertainty in Artificial Intelligence"),
    Reference("pinsker1964", "book", "M. S. Pinsker", "Information and information stability of random variables and processes", 1964, "Holden-Day"),
    Reference("clopper1934", "article", "C. J. Clopper and E. S. Pearson", "The use of confidence or fiducial limits illustrated in the case of the binomial", 1934, "Biometrika"),
    Reference("bentkus2004", "article", "V. Bentkus", "On Hoeffding's inequalities", 2004, "The Annals of Probability"),
    Reference("mcallester1999", "inproceedings", "D. A. McAllester", "PAC-Bayesian model averaging", 1999, "Conference on Computational Learning Theory"),
    Reference("mcallester2003", "article", "D. A. McAllester", "PAC-Bayesian stochastic model selection", 2003, "Machine Learning"),
    Reference("catoni2007", "book", "O. Catoni", "PAC-Bayesian supervised classification: the thermodynamics of statistical learning", 2007, "Institute of Mathematical Statistics", "0712.0248"),
    Reference("alquier2016", "article", "P. Alquier and J. Ridgway and N. Chopin", "On the properties of variational approximations of Gibbs posteriors", 2016, "Journal of Machine Learning Research", "1506.04091"),
    Reference("alquier2018", "article", "P. Alquier and B. Guedj", "Simpler PAC-Bayesian bounds for hostile data", 2018, "Machine Learning", "1610.07193"),
    Reference("germain2016", "inproceedings", "P. Germain and F. Bach and A. Lacoste and S. Lacoste-Julien", "PAC-Bayesian theory meets Bayesian inference", 2016, "Advances in Neural Information Processing Systems", "1605.08636"),
    Reference("thiemann2017", "inproceedings", "N. Thiemann and C. Igel and O. Wintenberger and Y. Seldin", "A strongly quasiconvex PAC-Bayesian bound", 2017, "International Conference on Algorithmic Learning Theory", "1608.05610"),
    Reference("rivasplata2020", "inproceedings", "O. Rivasplata and I. Kuzborskij and C. Szepesvári and J. Shawe-Taylor", "PAC-Bayes analysis beyond the usual bounds", 2020, "Advances in Neural Information Processing Systems", "2006.13057"),
    Reference("foong2021", "inproceedings", "A. Y. K. Foong and W. P. Bruinsma and D. R. Burt and R. E. Turner", "How tight can PAC-Bayes be in the small data regime?", 2021, "Advances in Neural Information Processing Systems", "2106.03542"),
    Reference("rodriguezgalvez2024", "article", "B. Rodríguez-Gálvez and R. Thobaben and M. Skoglund", "More PAC-Bayes bounds: from bounded losses, to losses with general tail behaviors, to anytime validity", 2024, "Journal of Machine Learning Research", "2306.12214"),
    Reference("tolstikhin2013", "inproceedings", "I. O. Tolstikhin and Y. Seldin", "PAC-Bayes-empirical-Bernstein inequality", 2013, "Advances in Neural Information Processing Systems"),
    Reference("mhammedi2019", "inproceedings", "Z. Mhammedi and P. Grünwald and B. Guedj", "PAC-Bayes un-expected Bernstein inequality", 2019, "Advances in Neural Information Processing Systems", "1905.13367"),
    Reference("wu2022", "inproceedings", "Y.-S. Wu and Y. Seldin", "Split-kl and PAC-Bayes-split-kl inequalities for ternary random variables", 2022, "Advances in Neural Information Processing Systems", "2206.00706"),
    Reference("wu2024", "inproceedings", "Y.-S. Wu and Y. Zhang and B.-E. Chérief-Abdellatif and Y. Seldin", "Recursive PAC-Bayes: a frequentist approach to sequential prior updates with no information loss", 2024, "Advances in Neural Information Processing Systems", "2405.14681"),
    Reference("biggs2023", "inproceedings", "F. Biggs and B. Guedj", "Tighter PAC-Bayes generalisation bounds by leveraging example difficulty", 2023, "International Conference on Artificial Intelligence and Statistics", "2210.11289"),
    Reference("adams2022", "misc", "R. Adams and J. Shawe-Taylor and B. Guedj", "Controlling multiple errors simultaneously with a PAC-Bayes bound", 2022, "", "2202.05560"),
    Reference("shtarkov1987", "article", "Y. M. Shtarkov", "Universal sequential coding of single messages", 1987, "Problems of Information Transmission"),
    Reference("kontkanen2007", "article", "P. Kontkanen and P. Myllymäki", "A linear-time algorithm for computing the multinomial stochastic complexity", 2007, "Information Processing Letters"),
    Reference("krichevsky1981", "article", "R. E. Krichevsky and V. K. Trofimov", "The performance of universal encoding", 1981, "IEEE Transactions on Information Theory"),
    Reference("ville1939", "book", "J. Ville", "Étude critique de la notion de collectif", 1939, "Gauthier-Villars"),
    Reference("robbins1970", "article", "H. Robbins", "Statistical methods related to the law of the iterated logarithm", 1970, "The Annals of Mathematical Statistics"),
    Reference("cover1991", "article", "T. M. Cover", "Universal portfolios", 1991, "Mathematical Finance"),
    Reference("orabona2024", "article", "F. Orabona and K.-S. Jun", "Tight concentrations and confidence sequences from the regret of universal portfolio", 2024, "IEEE Transactions on Information Theory", "2110.14099"),
    Reference("waudbysmith2024", "article", "I. Waudby-Smith and A. Ramdas", "Estimating means of bounded random variables by betting", 2024, "Journal of the Royal Statistical Society Series B", "2010.09686"),
    Reference("jang2023", "inproceedings", "K. Jang and K.-S. Jun and I. Kuzborskij and F. Orabona", "Tighter PAC-Bayes bounds through coin-betting", 2023, "Conference on Learning Theory", "2302.05829"),
    Reference("chugg2023", "article", "B. Chugg and H. Wang and A. Ramdas", "A unified recipe for deriving (time-uniform) PAC-Bayes bounds", 2023, "Journal of Machine Learning Research", "2302.03421"),
    Reference("delyon2009", "article", "B. Delyon", "Exponential inequalities for sums of weakly dependent variables", 2009, "Electronic Journal of Probability"),
    Reference("haddouche2023", "article", "M. Haddouche and B. Guedj", "PAC-Bayes generalisation bounds for heavy-tailed losses through supermartingales", 2023, "Transactions on Machine Learning Research", "2210.00928"),
    Reference("blanchard2007", "inproceedings", "G. Blanchard and F. Fleuret", "Occam's hammer", 2007, "Conference on Learning Theory"),
    Reference("viallard2023", "article", "P. Viallard and P. Germain and A. Habrard and E. Morvant", "A general framework for the practical disintegration of PAC-Bayesian bounds", 2023, "Machine Learning", "2102.08649"),
    Reference("viallard2023w", "inproceedings", "P. Viallard and M. Haddouche and U. Şimşekli and B. Guedj", "Learning via Wasserstein-based high probability generalisation bounds", 2023, "Advances in Neural Information Processing Systems", "2306.04375"),
    Reference("zhou2019", "inproceedings", "W. Zhou and V. Veitch and M. Austern and R. P. Adams and P. Orbanz", "Non-vacuous generalization bounds at the ImageNet scale: a PAC-Bayesian compression approach", 2019, "International Conference on Learning Representations", "1804.05862"),
    Reference("lotfi2022", "inproceedings", "S. Lotfi and M. Finzi and S. Kapoor and A. Potapczynski and M. Goldblum and A. G. Wilson", "PAC-Bayes compression bounds so tight that they can explain generalization", 2022, "Advances in Neural Information Processing Systems", "2211.13609"),
    Reference("lotfi2024", "inproceedings", "S. Lotfi and M. Finzi and Y. Kuang and T. G. J. Rudner and M. Goldblum and A. G. Wilson", "Non-vacuous generalization bounds for large language models", 2024, "International Conference on Machine Learning", "2312.17173"),
    Reference("masegosa2020", "inproceedings", "A. R. Masegosa", "Learning under model misspecification: applications to variational and ensemble methods", 2020, "Advances in Neural Information Processing Systems", "1912.08335"),
    Reference("masegosa2020mv", "inproceedings", "A. R. Masegosa and S. S. Lorenzen and C. Igel and Y. Seldin", "Second order PAC-Bayesian bounds for the weighted majority vote", 2020, "Advances in Neural Information Processing Systems", "2007.13532"),
    Reference("wu2021", "inproceedings", "Y.-S. Wu and A. R. Masegosa and S. S. Lorenzen and C. Igel and Y. Seldin", "Chebyshev-Cantelli PAC-Bayes-Bennett inequality for the weighted majority vote", 2021, "Advances in Neural Information Processing Systems", "2106.13624"),
    Reference("lacasse2006", "inproceedings", "A. Lacasse and F. Laviolette and M. Marchand and P. Germain and N. Usunier", "PAC-Bayes bounds for the risk of the majority vote and the variance of the Gibbs classifier", 2006, "Advances in Neural Information Processing Systems"),
    Reference("langford2003", "inproceedings", "J. Langford and J. Shawe-Taylor", "PAC-Bayes and margins", 2003, "Advances in Neural Information Processing Systems"),
    Reference("zantedeschi2021", "inproceedings", "V. Zantedeschi and P. Viallard and E. Morvant and R. Emonet and A. Habrard and P. Germain and B. Guedj", "Learning stochastic majority votes by minimizing a PAC-Bayes generalization bound", 2021, "Advances in Neural Information Processing Systems", "2106.12535"),
    Reference("casado2024", "inproceedings", "I. Casado and L. A. Ortega and A. Pérez and A. R. Masegosa", "PAC-Bayes-Chernoff bounds for unbounded losses", 2024, "Advances in Neural Information Processing Systems", "2401.01148"),
    Reference("ortega2022", "inproceedings", "L. A. Ortega and R. Cabañas and A. R. Masegosa", "Diversity and generalization in neural network ensembles", 2022, "International Conference on Artificial Intelligence and Statistics", "2110.13786"),
    Reference("zhang2024", "article", "Y. Zhang and Y.-S. Wu and L. A. Ortega and A. R. Masegosa", "The cold posterior effect indicates underfitting, and cold posteriors represent a fully Bayesian method to mitigate it", 2024, "Transactions on Machine Learning Research", "2310.01189"),
    Reference("ortega2026", "phdthesis", "L. A. Ortega", "Uncertainty estimation and generalization bounds for modern deep learning", 2026, "Universidad Autónoma de Madrid", "2606.13818"),
    Reference("liao2019", "article", "J. G. Liao and A. Berg", "Sharpening Jensen's inequality", 2019, "The American Statistician", "1707.08644"),
    Reference("krogh1995", "inproceedings", "A. Krogh and J. Vedelsby", "Neural network ensembles, cross validation, and active learning", 1995, "Advances in Neural Information Processing Systems"),
    Reference("ledoux2001", "book", "M. Ledoux", "The concentration of measure phenomenon", 2001, "American Mathematical Society"),
    Reference("xu2017", "inproceedings", "A. Xu and M. Raginsky", "Information-theoretic analysis of generalization capability of learning algorithms", 2017, "Advances in Neural Information Processing Systems", "1705.07809"),
    Reference("bu2020", "article", "Y. Bu and S. Zou and V. V. Veeravalli", "Tightening mutual information-based bounds on generalization error", 2020, "IEEE Journal on Selected Areas in Information Theory", "1901.04609"),
    Reference("steinke2020", "inproceedings", "T. Steinke and L. Zakynthinou", "Reasoning about generalization via conditional mutual information", 2020, "Conference on Learning Theory", "2001.09122"),
    Reference("hellstrom2022", "inproceedings", "F. Hellström and G. Durisi", "A new family of generalization bounds using samplewise evaluated CMI", 2022, "Advances in Neural Information Processing Systems", "2210.06422"),
    Reference("cover2006", "book", "T. M. Cover and J. A. Thomas", "Elements of information theory", 2006, "Wiley"),
    Reference("simon2021", "article", "J. B. Simon and M. Dickens and D. Karkada and M. R. DeWeese", "The eigenlearning framework: a conservation law perspective on kernel regression and wide neural networks", 2023, "Transactions on Machine Learning Research", "2110.03922"),
    Reference("bordelon2020", "inproceedings", "B. Bordelon and A. Canatar and C. Pehlevan", "Spectrum dependent learning curves in kernel regression and wide neural networks", 2020, "International Conference on Machine Learning", "2002.02561"),
    Reference("canatar2021", "article", "A. Canatar and B. Bordelon and C. Pehlevan", "Spectral bias and task-model alignment explain generalization in kernel regression and infinitely wide neural networks", 2021, "Nature Communications", "2006.13198"),
    Reference("wei2022", "inproceedings", "A. Wei and W. Hu and J. Steinhardt", "More than a toy: random matrix models predict how real-world neural representations generalize", 2022, "International Conference on Machine Learning", "2203.06176"),
    Reference("golub1979", "article", "G. H. Golub and M. Heath and G. Wahba", "Generalized cross-validation as a method for choosing a good ridge parameter", 1979, "Technometrics"),
    Reference("hastie2019", "article", "T. Hastie and A. Montanari and S. Rosset and R. J. Tibshirani", "Surprises in high-dimensional ridgeless least squares interpolation", 2022, "Annals of Statistics", "1903.08560"),
    Reference("arora2019", "inproceedings", "S. Arora and S. S. Du and W. Hu and Z. Li and R. Wang", "Fine-grained analysis of optimization and generalization for overparameterized two-layer neural networks", 2019, "International Conference on Machine Learning", "1901.08584"),
    Reference("bartlett2002", "article", "P. L. Bartlett and S. Mendelson", "Rademacher and Gaussian complexities: risk bounds and structural results", 2002, "Journal of Machine Learning Research"),
    Reference("cristianini2001", "inproceedings", "N. Cristianini and J. Shawe-Taylor and A. Elisseeff and J. Kandola", "On kernel-target alignment", 2001, "Advances in Neural Information Processing Systems"),
    Reference("cortes2012", "article", "C. Cortes and M. Mohri and A. Rostamizadeh", "Algorithms for learning kernels based on centered alignment", 2012, "Journal of Machine Learning Research", "1203.0550"),
    Reference("reeb2018", "inproceedings", "D. Reeb and A. Doerr and S. Gerwinn and B. Rakitsch", "Learning Gaussian processes by minimizing PAC-Bayesian generalization bounds", 2018, "Advances in Neural Information Processing Systems", "1810.12263"),
    Reference("clerico2021", "misc", "E. Clerico and G. Deligiannidis and A. Doucet", "Wide stochastic networks: Gaussian limit and PAC-Bayesian training", 2021, "", "2106.09798"),
    Reference("chizat2019", "inproceedings", "L. Chizat and E. Oyallon and F. Bach", "On lazy training in differentiable programming", 2019, "Advances in Neural Information Processing Systems", "1812.07956"),
    Reference("hanin2020", "inproceedings", "B. Hanin and M. Nica", "Finite depth and width corrections to the neural tangent kernel", 2020, "International Conference on Learning Representations", "1909.05989"),
    Reference("bietti2019", "inproceedings", "A. Bietti and J. Mairal", "On the inductive bias of neural tangent kernels", 2019, "Advances in Neural Information Processing Systems", "1905.12173"),
)  # fmt: skip

_BY_KEY = {reference.key: reference for reference in REFERENCES}


def find(key: str) -> Reference:
    """The entry called `key`."""
    try:
        return _BY_KEY[key]
    except KeyError:
        raise UnknownKey(
            f"No reference is called {key!r}.", did_you_mean(key, _BY_KEY, f"There are {len(_BY_KEY)} references.")
        ) from None
