# Golden cases of the linear mixed model: data, model and what lme4, lmerTest and pbkrtest say of it.
# Run from the project's root:  Rscript tests/stats/lmm/golden/make_golden.R
# Writes one JSON per case beside this script. lme4 runs with tolerances far below its defaults: at the defaults
# its variance components are off by up to 3e-4.
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest); library(jsonlite)})
out <- "tests/stats/lmm/golden"
tight <- function(optimizer = "nloptwrap") lmerControl(
  optimizer = optimizer, calc.derivs = FALSE, check.conv.singular = "ignore", check.rankX = "ignore",
  optCtrl = if (optimizer == "nloptwrap") list(xtol_abs = 1e-14, ftol_abs = 1e-14, xtol_rel = 1e-14, ftol_rel = 1e-15,
                                               maxeval = 20000) else list(maxfun = 20000, rhoend = 1e-10))

fit <- function(formula, data, REML, w) {
  models <- lapply(c("nloptwrap", "bobyqa"), function(o) suppressWarnings(suppressMessages(
    do.call(lmer, list(formula = formula, data = data, REML = REML, weights = w, control = tight(o))))))
  crit <- sapply(models, function(m) if (REML) REMLcrit(m) else -2 * as.numeric(logLik(m)))
  models[[which.min(crit)]]
}

case <- function(name, formula, data, REML = TRUE, w = NULL, kr = TRUE, df = TRUE) {
  m <- fit(formula, data, REML, w)
  X <- getME(m, "X"); frame <- model.frame(m); p <- ncol(X)
  terms <- list()
  for (t in seq_along(m@cnms)) {
    f <- m@flist[[attr(m@flist, "assign")[t]]]
    columns <- setdiff(m@cnms[[t]], "(Intercept)")
    terms[[t]] <- list(name = make.unique(names(m@cnms))[t], codes = as.integer(f) - 1L, levels = nlevels(f),
      intercept = "(Intercept)" %in% m@cnms[[t]],
      columns = if (length(columns)) lapply(columns, function(k) as.numeric(frame[[k]])) else NULL)
  }
  vc <- VarCorr(m); modes <- ranef(m, condVar = TRUE)
  singular <- any(getME(m, "theta")[getME(m, "lower") == 0] < 1e-4)
  result <- list(
    deviance = if (REML) REMLcrit(m) else -2 * as.numeric(logLik(m)),
    beta = as.numeric(fixef(m)), vcov = as.matrix(vcov(m)), sigma = sigma(m), singular = singular,
    covariance = lapply(seq_along(m@cnms), function(t) matrix(as.numeric(vc[[t]]), nrow(vc[[t]]))),
    modes = lapply(seq_along(m@cnms), function(t) {
      all <- modes[[names(m@flist)[attr(m@flist, "assign")[t]]]]
      same <- which(attr(m@flist, "assign") == attr(m@flist, "assign")[t]); at <- match(t, same)
      before <- sum(lengths(m@cnms[same[seq_len(at - 1)]])); k <- length(m@cnms[[t]])
      as.matrix(all[, before + seq_len(k), drop = FALSE])}))
  if (df && REML) {
    L <- diag(p)
    result$satterthwaite <- as.numeric(sapply(seq_len(p), function(i)
      suppressMessages(contest1D(m, L[i, ], ddf = "Satterthwaite"))$df))
    # pbkrtest 0.5.2 leaves prior weights out of Sigma: weighted cases are held to dense matrices instead.
    if (kr && !singular && is.null(w)) {
      k <- lapply(seq_len(p), function(i) suppressMessages(contest1D(m, L[i, ], ddf = "Kenward-Roger")))
      result$kenward_roger <- list(df = sapply(k, function(r) r$df), se = sapply(k, function(r) r[["Std. Error"]]))
    }
  }
  body <- list(case = name, formula = paste(deparse(formula), collapse = " "), reml = REML,
    versions = list(R = paste(R.version$major, R.version$minor, sep = "."), lme4 = as.character(packageVersion("lme4")),
                    lmerTest = as.character(packageVersion("lmerTest")), pbkrtest = as.character(packageVersion("pbkrtest"))),
    y = as.numeric(getME(m, "y")), weights = if (is.null(w)) NULL else w,
    x_names = colnames(X), X = lapply(seq_len(p), function(j) as.numeric(X[, j])), terms = terms, result = result)
  writeLines(toJSON(body, digits = I(17), auto_unbox = TRUE, null = "null", matrix = "rowmajor"),
             file.path(out, paste0(name, ".json")))
  cat(sprintf("%-28s n %5d deviance %.8f singular %s\n", name, nrow(X), result$deviance, singular))
}

# Classics
case("dyestuff", Yield ~ 1 + (1 | Batch), Dyestuff)
case("dyestuff2", Yield ~ 1 + (1 | Batch), Dyestuff2)
case("sleepstudy", Reaction ~ Days + (Days | Subject), sleepstudy)
case("sleepstudy_ml", Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE)
case("sleepstudy_independent", Reaction ~ Days + (Days || Subject), sleepstudy)
case("penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin)
case("pastes", strength ~ 1 + (1 | batch / cask), Pastes)
case("cake", angle ~ recipe * temperature + (1 | recipe:replicate), cake)

# Judge-shaped designs. y is rounded so that the JSON holds it exactly.
world <- function(seed, items, systems, judges, sd_item = .6, sd_system = .4, sd_cell = 0, keep = 1, per_item = systems,
                  slopes = FALSE) {
  set.seed(seed)
  d <- expand.grid(system = seq_len(systems), judge = seq_len(judges), item = seq_len(items))
  if (per_item < systems) {
    shown <- t(sapply(seq_len(items), function(i) seq_len(systems) %in% sample(systems, per_item)))
    d <- d[shown[cbind(d$item, d$system)], ]
  }
  d <- d[runif(nrow(d)) < keep, ]
  n <- nrow(d)
  d$pos <- rbinom(n, 1, .5); d$loglen <- round(rnorm(n, 0, 1), 3)
  d$own <- as.numeric(d$judge == d$system)
  b <- matrix(rnorm(judges * 3), judges) %*% diag(if (slopes) c(.4, .2, .15) else c(.3, 0, 0))
  y <- 3 + .1 * d$pos + .2 * d$loglen + .2 * d$own + rnorm(items, 0, sd_item)[d$item] + rnorm(systems, 0, sd_system)[d$system] +
    b[d$judge, 1] + b[d$judge, 2] * d$pos + b[d$judge, 3] * d$loglen +
    rnorm(items * judges, 0, sd_cell)[(d$item - 1) * judges + d$judge] + rnorm(n, 0, .7)
  d$y <- round(y, 4)
  d$cell <- factor((d$item - 1) * judges + d$judge)
  for (k in c("item", "system", "judge")) d[[k]] <- factor(d[[k]])
  d
}
case("judges_balanced", y ~ judge + pos + loglen + (1 | item) + (1 | system), world(1, 25, 4, 3))
case("judges_unbalanced", y ~ pos + loglen + own + (1 | judge) + (1 | item) + (1 | system), world(2, 40, 6, 4, keep = .5))
case("judges_panel_missing", y ~ pos + loglen + (1 | judge) + (1 | item) + (1 | system), world(3, 60, 8, 6, keep = .3, per_item = 3))
d <- world(4, 30, 5, 3, sd_system = 0)
d$y <- round(d$y - ave(d$y, d$system) + 3, 4)  # no spread of the systems is left
case("judges_singular", y ~ pos + loglen + (1 | judge) + (1 | item) + (1 | system), d)
case("one_judge", y ~ pos + loglen + (1 | item) + (1 | system), world(5, 50, 4, 1))
case("two_systems", y ~ pos + loglen + (1 | item) + (1 | system), world(6, 40, 2, 3, keep = .8))
case("cells", y ~ pos + loglen + own + (1 | item) + (1 | cell) + (1 | system), world(7, 40, 4, 3, sd_cell = .5, keep = .8))
case("judge_slopes", y ~ pos + loglen + (1 + pos + loglen | judge) + (1 | item) + (1 | system),
     world(8, 40, 4, 8, keep = .7, slopes = TRUE))
case("judge_slopes_ml", y ~ pos + loglen + (1 + pos + loglen | judge) + (1 | item) + (1 | system),
     world(9, 40, 4, 8, keep = .7, slopes = TRUE), REML = FALSE)
d <- world(10, 50, 4, 4, keep = .6)
case("weighted", y ~ pos + loglen + (1 | judge) + (1 | item) + (1 | system), d, w = round(runif(nrow(d), .3, 3), 3))
d <- world(11, 40, 4, 4, sd_cell = .5, keep = .8)
case("weighted_cells", y ~ pos + loglen + (1 | item) + (1 | cell) + (1 | system), d, w = round(runif(nrow(d), .3, 3), 3))
d <- world(12, 50, 4, 4, keep = .6)
d$human <- as.numeric(d$judge == 1); d$annotator <- factor(ifelse(d$human == 1, sample(6, nrow(d), TRUE), 1))
d$y <- round(d$y + rnorm(6, 0, .4)[d$annotator] * d$human, 4)
case("annotators", y ~ human + pos + loglen + (1 | item) + (1 | system) + (0 + human | annotator), d)
set.seed(13)
d <- data.frame(item = sample(80, 500, TRUE), annotator = sample(70, 500, TRUE), loglen = round(rnorm(500), 3))
d$y <- round(3 + .2 * d$loglen + rnorm(80, 0, .6)[d$item] + rnorm(70, 0, .5)[d$annotator] + rnorm(500, 0, .6), 4)
d$item <- factor(d$item); d$annotator <- factor(d$annotator)
case("two_large_crossed", y ~ loglen + (1 | item) + (1 | annotator), d)
set.seed(14)
d <- data.frame(system = factor(rep(1:5, each = 6)), prompt = factor(sample(12, 30, TRUE)), f = round(rnorm(30), 3))
d$y <- round(.8 * d$f + rnorm(5, 0, .3)[d$system] + rnorm(12, 0, .3)[d$prompt] + rnorm(30, 0, .5), 4)
case("thirty_anchors", y ~ f + (1 | system) + (1 | prompt), d)
