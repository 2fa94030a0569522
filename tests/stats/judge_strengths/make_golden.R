# Writes golden.json: Rscript make_golden.R   (Debian: r-base-core r-cran-lme4 r-cran-jsonlite)
#
# Strengths of systems with judges' own tastes, as generalised linear mixed models of lme4. Its formulas know
# no row with two levels of one factor (+1 for the system shown first, -1 for the other), so Z is replaced in
# its modular interface. Given the spread of tastes and nAGQ = 0, glmer maximises the penalised likelihood of
# all coefficients. With ties: a Poisson model of the counts of outcomes, one free level per cell (Fienberg).
library(lme4)
library(jsonlite)

set.seed(11)
S <- 4; J <- 4; prompts <- 70
theta <- c(-0.7, -0.1, 0.2, 0.6)
taste <- matrix(rnorm(J * S, sd = 0.5), J, S)
place <- c(0.6, 0.1, -0.2, 0.4)
ready <- c(-0.4, -0.1, -0.8, 0.2)
rows <- do.call(rbind, lapply(seq_len(prompts * 6), function(r) {
  pair <- sample(S, 2); j <- sample(J, 1)
  data.frame(prompt = (r - 1) %/% 6, judge = j, first = pair[1], second = pair[2])
}))
eta <- with(rows, theta[first] - theta[second] + taste[cbind(judge, first)] - taste[cbind(judge, second)] + place[judge])
draw <- function(eta, gamma) {
  w <- cbind(exp(eta / 2), exp(gamma), exp(-eta / 2)); u <- runif(length(eta)) * rowSums(w)
  ifelse(u < w[, 1], 1, ifelse(u < w[, 1] + w[, 2], 0.5, 0))
}
rows$ties <- draw(eta, ready[rows$judge])
rows$binary <- draw(eta, -Inf)

# contrasts: systems 2..S against the first; tastes as they are, one per judge and system
signed <- function(judge, first, second) {
  z <- matrix(0, length(judge), J * S)
  z[cbind(seq_along(judge), (judge - 1) * S + first)] <- 1
  z[cbind(seq_along(judge), (judge - 1) * S + second)] <- -1
  z
}
systems <- function(first, second) {
  x <- matrix(0, length(first), S)
  x[cbind(seq_along(first), first)] <- 1
  x[cbind(seq_along(first), second)] <- x[cbind(seq_along(first), second)] - 1
  x[, -1]
}
at <- function(data, response, X, Z, family, sd) {
  data$level <- factor(rep_len(seq_len(ncol(Z)), nrow(data)), levels = seq_len(ncol(Z)))
  data$X <- X
  formula <- as.formula(paste(response, "~ 0 + X + (1 | level)"))
  parts <- glFormula(formula, data = data, family = family)
  parts$reTrms$Zt <- as(t(Z), "CsparseMatrix")
  parts$reTrms$Zt <- as(parts$reTrms$Zt, "generalMatrix")
  fun <- do.call(mkGlmerDevfun, c(parts, list(control = glmerControl(tolPwrss = 1e-13))))
  value <- fun(sd)
  pp <- environment(fun)$pp
  list(beta = pp$beta(1), u = pp$b(1), deviance = value)
}
tau <- 0.45
judges <- diag(J)[rows$judge, ]
binary <- at(rows, "binary", cbind(systems(rows$first, rows$second), judges),
             signed(rows$judge, rows$first, rows$second), binomial, tau)
cells <- unique(rows[, c("judge", "first", "second")])
counts <- do.call(rbind, lapply(seq_len(nrow(cells)), function(c) {
  own <- rows$judge == cells$judge[c] & rows$first == cells$first[c] & rows$second == cells$second[c]
  data.frame(cell = c, cells[c, ], y = c(1, 0.5, 0), count = sapply(c(1, 0.5, 0), function(v) sum(rows$ties[own] == v)))
}))
level <- diag(nrow(cells))[counts$cell, ]
own <- diag(J)[counts$judge, ]
X <- cbind(counts$y * systems(counts$first, counts$second), counts$y * own, (counts$y == 0.5) * own, level)
with_ties <- at(counts, "count", X, counts$y * signed(counts$judge, counts$first, counts$second), poisson, tau)
keep <- function(fit, n) list(beta = fit$beta[seq_len(n)], tastes = fit$u)
write_json(list(
  r = R.version.string, lme4 = as.character(packageVersion("lme4")), tau = tau, systems = S, judges = J,
  data = list(prompt = rows$prompt, judge = rows$judge - 1, first = rows$first - 1, second = rows$second - 1,
              binary = rows$binary, ties = rows$ties),
  binary = keep(binary, S - 1 + J), ties = keep(with_ties, S - 1 + 2 * J)
), "golden.json", auto_unbox = TRUE, digits = 12)
