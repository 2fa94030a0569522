"""What people's disagreement among themselves leaves for any judge to reach.

*Scales.* A grade is Y = T + e, with T the mean over people and rho = var T / var Y, which Krippendorff's
alpha among people estimates. For a judge's value J that depends on e in no way,

    corr(J, Y) = corr(J, T) sqrt(rho) <= sqrt(rho)                                     (attenuation),
    alpha(T, Y) = 1 - var e / (2 var T + var e) = 2 rho / (1 + rho) ,

so another person agrees with a grade as far as rho, a judge that knew every mean 2 rho / (1 + rho), and no
judge beyond sqrt(rho), which bounds alpha because alpha never exceeds the correlation (up to 1/n).

*Categories.* Of m categories, with p_k the share of people who would choose k for an answer and S the sum of
p_k^2, the best a judge can do is max p_k <= (1 + sqrt((m - 1)(m S - 1))) / m (Cauchy & Schwarz over the other
m - 1). That is concave in S, and two people agree with chance E S, so Jensen's inequality bounds the judge's
mean by the same function of the share of pairs that agree.

Every function rises with its argument, so ends of intervals go through it.
"""

from math import sqrt


def correlation_ceiling(reliability: float) -> float:
    """sqrt(rho), the most that any judge's correlation (and alpha) with one person's grades can be."""
    return sqrt(min(max(reliability, 0.0), 1.0))


def agreement_of_the_mean(reliability: float) -> float:
    """Alpha with one person's grades of a judge that gives every answer the mean over people."""
    rho = min(max(reliability, 0.0), 1.0)
    return 2 * rho / (1 + rho)


def exact_agreement_ceiling(agreeing: float, categories: int) -> float:
    """The most often that a judge can give one person's category, where two people agree that often."""
    m = categories
    return min((1 + sqrt(max((m - 1) * (m * agreeing - 1), 0.0))) / m, 1.0)
