# Golden cases of the cumulative-link mixed model: data, model and what ordinal, glmmTMB and lme4 say of it.
# Run from the project's root:  Rscript tests/stats/clmm/golden/make_golden.R
suppressMessages({library(ordinal); library(lme4); library(glmmTMB); library(jsonlite)})
out <- "tests/stats/clmm/golden"

save_case <- function(name, formula, data, y, X, groups, weights, thresholds_by, result) {
  terms <- lapply(groups, function(g) list(name = g$name, codes = as.integer(g$f) - 1L, levels = nlevels(g$f),
    columns = if (is.null(g$columns)) NULL else lapply(g$columns, function(k) as.numeric(data[[k]]))))
  body <- list(case = name, formula = paste(deparse(formula), collapse = " "),
    versions = list(ordinal = as.character(packageVersion("ordinal")), glmmTMB = as.character(packageVersion("glmmTMB")),
                    lme4 = as.character(packageVersion("lme4"))),
    category = as.integer(y), categories = max(y) + 1L, x_names = colnames(X),
    X = lapply(seq_len(ncol(X)), function(j) as.numeric(X[, j])), terms = terms, weights = weights,
    threshold_codes = if (is.null(thresholds_by)) NULL else as.integer(data[[thresholds_by]]) - 1L, result = result)
  writeLines(toJSON(body, digits = I(17), auto_unbox = TRUE, null = "null", matrix = "rowmajor"),
             file.path(out, paste0(name, ".json")))
  cat(sprintf("%-24s n %5d deviance %.8f\n", name, length(y), result$deviance))
}

ordinal_case <- function(name, fixed, random, data, groups, w = NULL) {
  formula <- as.formula(paste(fixed, "+", random))
  arguments <- list(formula = formula, data = data, link = "logit",
                    control = clmm.control(gradTol = 1e-9, maxIter = 500, maxLineIter = 200))
  if (!is.null(w)) arguments$weights <- w
  m <- suppressWarnings(do.call(clmm, arguments))
  # With a tight gradient tolerance clmm's numerical Hessian is off by up to 1%; at its defaults it is not.
  arguments$control <- clmm.control()
  loose <- suppressWarnings(do.call(clmm, arguments))
  X <- model.matrix(as.formula(fixed), data)[, -1, drop = FALSE]
  se <- sqrt(diag(vcov(loose)))
  save_case(name, formula, data, as.integer(data$y) - 1L, X, groups, w, NULL, list(
    reference = "ordinal::clmm", deviance = -2 * as.numeric(logLik(m)), thresholds = as.numeric(m$alpha),
    thresholds_se = as.numeric(se[names(m$alpha)]), beta = as.numeric(m$beta), se = as.numeric(se[names(m$beta)]),
    covariance = lapply(VarCorr(m)[sapply(groups, function(g) g$name)], function(v) matrix(as.numeric(v), nrow(v)))))
}

binary_case <- function(name, fixed, random, data, groups) {
  formula <- as.formula(paste(fixed, "+", random))
  m <- glmmTMB(formula, data, family = binomial,
               control = glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 2000, rel.tol = 1e-15)))
  second <- suppressWarnings(suppressMessages(glmer(formula, data, family = binomial)))
  X <- model.matrix(as.formula(fixed), data)[, -1, drop = FALSE]
  b <- fixef(m)$cond; se <- sqrt(diag(vcov(m)$cond))
  save_case(name, formula, data, as.integer(data$y), X, groups, NULL, NULL, list(
    reference = "glmmTMB::glmmTMB", deviance = -2 * as.numeric(logLik(m)), glmer = -2 * as.numeric(logLik(second)),
    thresholds = -b[[1]], thresholds_se = se[[1]], beta = as.numeric(b[-1]), se = as.numeric(se[-1]),
    covariance = lapply(VarCorr(m)$cond, function(v) matrix(as.numeric(v), nrow(v)))))
}

world <- function(seed, n, items, systems, judges, sd_cell = 0, slope = 0, cuts = c(-1.5, -.5, .7, 1.8)) {
  set.seed(seed)
  d <- data.frame(item = sample(items, n, TRUE), system = sample(systems, n, TRUE), judge = sample(judges, n, TRUE),
                  pos = rbinom(n, 1, .5), loglen = round(rnorm(n), 3))
  b <- rnorm(judges, 0, .4); s <- rnorm(judges, 0, slope)
  lat <- .3 * d$pos + .4 * d$loglen + rnorm(items)[d$item] + rnorm(systems, 0, .5)[d$system] + b[d$judge] +
    s[d$judge] * d$loglen + rnorm(items * judges, 0, sd_cell)[(d$item - 1) * judges + d$judge] + rlogis(n)
  d$latent <- lat
  d$y <- factor(findInterval(lat, cuts))
  d$cell <- factor((d$item - 1) * judges + d$judge)
  for (k in c("item", "system", "judge")) d[[k]] <- factor(d[[k]])
  d
}
by <- function(name, f, columns = NULL) list(name = name, f = f, columns = columns)

wine$y <- factor(as.integer(wine$rating) - 1L)
ordinal_case("wine", "y ~ temp + contact", "(1 | judge)", wine, list(by("judge", wine$judge)))
d <- world(1, 400, 40, 6, 4)
ordinal_case("ordinal_crossed", "y ~ pos + loglen", "(1 | item) + (1 | system)", d, list(by("item", d$item), by("system", d$system)))
d <- world(2, 400, 40, 5, 4)
ordinal_case("ordinal_weighted", "y ~ judge + pos + loglen", "(1 | item)", d, list(by("item", d$item)),
             w = round(runif(nrow(d), .5, 2), 2))
d <- world(3, 500, 40, 5, 8, slope = .6)
ordinal_case("ordinal_slopes", "y ~ pos + loglen", "(1 | item) + (1 + loglen | judge)", d,
             list(by("item", d$item), by("judge", d$judge, "loglen")))
d <- world(4, 400, 30, 5, 3, sd_cell = 1)
ordinal_case("ordinal_cells", "y ~ pos + loglen", "(1 | item) + (1 | cell)", d, list(by("item", d$item), by("cell", d$cell)))
d <- world(5, 300, 30, 4, 3, cuts = c(-.4, .4))
ordinal_case("win_tie_loss", "y ~ pos", "(1 | item) + (1 | judge)", d, list(by("item", d$item), by("judge", d$judge)))

d <- world(6, 600, 50, 6, 5); d$y <- as.integer(d$latent > 0)
binary_case("binary_crossed", "y ~ pos + loglen", "(1 | item) + (1 | system)", d, list(by("item", d$item), by("system", d$system)))
d <- world(7, 800, 50, 6, 8, slope = .7); d$y <- as.integer(d$latent > 0)
binary_case("binary_slopes", "y ~ pos + loglen", "(1 | item) + (1 + loglen | judge)", d,
            list(by("item", d$item), by("judge", d$judge, "loglen")))
long <- do.call(rbind, lapply(seq_len(nrow(cbpp)), function(i) with(cbpp[i, ], data.frame(
  herd = herd, period = period, y = rep(c(1L, 0L), c(incidence, size - incidence))))))
binary_case("cbpp", "y ~ period", "(1 | herd)", long, list(by("herd", long$herd)))

# Thresholds by judge: no package fits them with random effects; without, clm's nominal effects are the same model.
d <- world(8, 600, 1, 1, 3, cuts = c(-.8, .6))
m <- clm(y ~ pos + loglen, nominal = ~ judge, data = d)
save_case("thresholds_by_judge", y ~ pos + loglen, d, as.integer(d$y) - 1L, model.matrix(~ pos + loglen, d)[, -1], list(), NULL,
  "judge", list(reference = "ordinal::clm", deviance = -2 * as.numeric(logLik(m)), thresholds = NULL,
    beta = as.numeric(m$beta), se = as.numeric(sqrt(diag(vcov(m)))[names(m$beta)]), covariance = list()))
