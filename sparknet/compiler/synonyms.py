"""What Keras, PyTorch and Caffe call things, and how they are written here.

Plain data: none of these words is accepted, but a message about one of them says what to write. The words stand as
`plain_name` makes them, in small letters without `_`, so that `Conv2d` and `conv_2d` are one; only a layer that two
frameworks write differently is also kept as it is, and then counts first.
"""

from __future__ import annotations

from collections.abc import Mapping


def plain_name(name: str) -> str:
    """A name without what frameworks differ in: `MaxPool_2D` becomes `maxpool2d`."""
    return name.casefold().replace("_", "")


def _by_word(table: Mapping[str, str]) -> dict[str, str]:
    """From what we write and the words for it, divided by blanks, to the word and what we write."""
    return {word: ours for ours, words in table.items() for word in words.split()}


FOREIGN_LAYERS = _by_word(
    {
        "dense(units, activation) | dense(_, units)": "linear fc fullyconnected",
        "dense(units)": "innerproduct ip affine",
        "conv(filters, kernel)": "conv2d conv1d convolution convolution2d convolution1d",
        "conv(filters, kernel) | conv(_, filters, kernel, stride, pad)": "Conv2d Conv1d",
        "conv(filters, kernel, stride, pad)": "Conv2D Conv1D",
        "depthwise(kernel)": "depthwiseconv2d depthwiseconv depthwiseconvolution",
        "deconv(filters, kernel, stride, pad)": "conv2dtranspose conv1dtranspose",
        "deconv(filters, kernel) | deconv(_, filters, kernel, stride, pad)": "convtranspose2d convtranspose1d",
        "deconv(filters, kernel)": "convtranspose transposedconv deconvolution deconv2d upconv",
        "maxpool(window, stride)": "maxpool2d maxpool1d maxpooling maxpooling2d maxpooling1d",
        "avgpool(window, stride)": "avgpool2d avgpool1d avgpooling averagepool averagepooling averagepooling2d "
        "averagepooling1d meanpool",
        "globalavgpool": "globalaveragepooling2d globalaveragepooling1d globalaveragepooling globalaveragepool "
        "globalavgpooling globalpool gap",
        "globalavgpool(_)": "adaptiveavgpool2d adaptiveavgpool1d",
        "globalmaxpool": "globalmaxpooling2d globalmaxpooling1d globalmaxpooling",
        "globalmaxpool(_)": "adaptivemaxpool2d adaptivemaxpool1d",
        "batchnorm(_)": "batchnorm batchnormalization batchnorm1d batchnorm2d bn",
        "layernorm(_)": "layernorm layernormalization ln",
        "groupnorm(groups) | groupnorm(groups, _)": "groupnorm groupnormalization",
        "leakyrelu(slope)": "leakyrelu leakyrectify lrelu",
        "prelu(_)": "parametricrelu",
        "elu(_)": "celu",
        "relu": "rectify rectifier",
        "silu": "swish",
        "hardswish": "hardsilu hswish",
        "hardsigmoid": "hsigmoid",
        "sigmoid": "logistic",
        "dropout(rate)": "dropout1d dropout2d spatialdropout1d spatialdropout2d drop",
        "rnn(units)": "simplernn simplernncell vanillarnn elman",
        "rnn(units, activation) | rnn(_, units, layers)": "rnn rnncell",
        "lstm(units, activation) | lstm(_, units, layers)": "lstm lstmcell",
        "gru(units, activation) | gru(_, units, layers)": "gru grucell",
        "attention(heads) | attention(_, heads)": "multiheadattention mha selfattention",
        "positions(_)": "positionalencoding positionalembedding positionembedding positionencoding",
        "embedding(width) | embedding(_, width)": "embedding embed",
        "flatten": "flat",
        "pad(amount)": "zeropad2d zeropadding2d zeropadding1d",
        "crop(amount)": "cropping2d cropping1d",
        "upsample(scale)": "upsampling upsampling2d upsampling1d unpool interpolate resize",
        "concat(*)": "concatenate cat merge",
        "add(*)": "sum plus eltwise",
        "multiply(*)": "mul times product",
    }
)
"""A layer, and how it is written: the names of the arguments that stand without one there, `_` for what nobody writes
here, `*` for any number of values. Of several ways, divided by `|`, the first counts that suits what was written."""

NEAREST = _by_word(
    {
        "leakyrelu": "rrelu",
        "sigmoid": "logsigmoid",
        "hardtanh": "clip clamp",
        "softmax": "logsoftmax",
        "batchnorm": "lrn localresponsenorm",
        "dropout": "alphadropout gaussiandropout gaussiannoise",
    }
)
"""A layer that is not there, and the one that comes nearest to it."""

ADVICE = _by_word(
    {
        "an activation is a layer of its own: write `relu`, or another one by its name": "activation",
        "it is an option of recurrent layers: `lstm(100, bidirectional: true)`": "bidirectional bilstm bigru birnn",
        "`dense` acts on each step of a sequence by itself: write it alone": "timedistributed",
        "write both of its parts: `depthwise(3x3) -> conv(64, 1x1)`": "separableconv separableconv2d",
        "write `maxpool(2)` or `avgpool(2)`": "pool pooling pool2d",
        "write `groupnorm(64)`, with as many groups as channels arrive": "instancenorm instancenorm2d",
        "write `flatten`, or `reshape(1, 28, 28)`, the sizes without the batch": "view squeeze unsqueeze expanddims",
        "write `transpose(1, 0)`, the axes counted from 0 without the batch": "permute swapaxes",
        "make a block of `attention` and `dense`": "transformer transformerencoder transformerencoderlayer",
        "name the value before, `short = in`, and add it behind: `add(short)`": "residual shortcut skip",
        "values are joined by `add`, `multiply` and `concat`": "subtract minus divide maximum average",
        "leave it out: a chain goes on with the next layer": "identity noop",
        "leave it out: layers follow each other line by line": "sequential",
        "a net has no functions; a `block` gives a name to layers": "lambda",
        "declare it in a line of its own: `input x: float[3, 32, 32]`": "input inputlayer",
        'write it in `data`, as arithmetic around a column: `image = column("pixels") / 255`': "normalize "
        "normalization rescaling",
        "the kind of the output decides the loss: end the net with a line such as `output label: class[10]`": "loss "
        "crossentropy crossentropyloss categoricalcrossentropy softmaxwithloss nllloss mseloss bceloss",
    }
)
"""What is done in another way here."""

NOTES: dict[str, str] = {
    "conv": "sides keep their length unless `pad: valid` is written",
    "depthwise": "sides keep their length unless `pad: valid` is written",
    "prelu": "one slope is trained for all numbers",
}
"""What a reader of another framework would not expect of our layer."""

ARGUMENTS = _by_word(
    {
        "kernel window": "kernelsize ksize",
        "kernel": "filtersize",
        "kernel window scale units": "size",
        "window": "poolsize pool",
        "units filters width": "numoutput noutput",
        "filters": "outchannels channels numfilters nfilters nbfilter",
        "units": "outfeatures features hidden hiddensize hiddenunits numunits nunits neurons nodes",
        "width units": "outputdim",
        "width": "embeddingdim embeddingsize",
        "width axis": "dim",
        "stride": "strides",
        "pad amount": "padding",
        "amount": "cropping",
        "dilation": "dilationrate",
        "groups": "group numgroups",
        "multiplier": "depthmultiplier",
        "bias": "usebias biasterm",
        "activation": "act activationfn activationfunction nonlinearity",
        "init": "kernelinitializer weightinit weightfiller initializer",
        "l2": "kernelregularizer",
        "l2 weight_decay": "weightdecay decay l2regularization",
        "frozen": "trainable",
        "return": "returnsequences",
        "layers": "numlayers nlayers",
        "heads": "numheads nheads nhead",
        "causal": "iscausal",
        "rate": "p prob dropoutratio",
        "rate dropout": "dropoutrate",
        "eps": "epsilon",
        "slope": "negativeslope alpha",
        "scale": "scalefactor",
        "method": "mode interpolation",
        "lr": "learningrate eta",
        "alpha": "rho",
        "to": "etamin",
        "factor": "gamma decayrate",
        "steps": "stepsize decaysteps tmax",
        "limit": "maxnorm clipnorm clipvalue",
        "delta": "beta",
        "label_smoothing": "smoothing",
        "separator": "sep delimiter",
        "quote": "quotechar",
        "null": "navalues",
        "vocabulary": "vocab vocabsize numembeddings",
        "path": "filepath filename file",
    }
)
"""An argument, and what it may be called here, divided by blanks; the first counts that the call takes."""

_FOLLOWS = (
    "inchannels infeatures inputsize inputdim inputshape inputlength numfeatures normalizedshape embeddim dmodel "
    "keydim batchfirst vocabsize numembeddings dataformat"
)
KNOWN = frozenset(_FOLLOWS.split())
"""Arguments that nobody writes here, because they follow from what arrives."""

WORDS: dict[str, dict[str, str]] = {
    "activation": _by_word(
        {
            "relu": "rectify rectifier",
            "leakyrelu": "lrelu prelu rrelu",
            "elu": "celu",
            "silu": "swish",
            "hardswish": "hardsilu hswish",
            "hardsigmoid": "hsigmoid",
            "sigmoid": "logistic logsigmoid",
            "hardtanh": "clip clamp",
            "softmax": "logsoftmax",
        }
    ),
    "augmentation": _by_word(
        {
            "flip": "hflip horizontalflip randomhorizontalflip randomflip mirror fliplr",
            "shift": "translate translation randomtranslation randomtranslate affine",
            "crop": "zoom randomzoom randomcrop randomresizedcrop resizedcrop",
            "rotate": "rotation randomrotation",
            "noise": "gaussiannoise gaussnoise",
        }
    ),
    "init": _by_word(
        {
            "he": "henormal heuniform kaiming kaimingnormal kaiminguniform msra",
            "glorot": "glorotnormal glorotuniform xavier xaviernormal xavieruniform",
            "normal": "gaussian randomnormal truncatednormal",
            "uniform": "randomuniform",
            "zeros": "zero constant",
        }
    ),
    "pad": _by_word({"valid": "0 none", "same": "1 2 3 4 5 zeros"}),
    "axis": _by_word({"0": "1", "1": "2", "2": "3"}),
    "return": _by_word({"sequence": "true sequences all", "last": "false"}),
    "trainable": _by_word({"true": "false", "false": "true"}),
    "method": _by_word({"bilinear": "linear bicubic", "nearest": "nearestneighbor neighbor"}),
    "kind": _by_word({"sinusoidal": "sin sine sincos fixed", "learned": "trained learnable"}),
    "optimizer": _by_word(
        {
            "adam": "nadam radam adamax amsgrad",
            "rmsprop": "adadelta",
            "sgd": "gradientdescent",
            "sgd(momentum: 0.9)": "momentum",
            "lamb": "lars",
        }
    ),
    "loss": _by_word(
        {
            "cross_entropy": "ce crossentropy crossentropyloss categoricalcrossentropy sparsecategoricalcrossentropy "
            "softmaxwithloss softmax nll nllloss",
            "binary_cross_entropy": "bce bceloss bcewithlogits bcewithlogitsloss binarycrossentropy logloss",
            "mean_squared": "mse mseloss l2 l2loss euclidean squarederror meansquarederror",
            "mean_absolute": "mae l1 l1loss absoluteerror meanabsoluteerror",
            "huber": "smoothl1 smoothl1loss huberloss",
        }
    ),
    "metric": _by_word(
        {
            "accuracy": "acc categoricalaccuracy sparsecategoricalaccuracy binaryaccuracy",
            "top_k(5)": "topkcategoricalaccuracy",
            "f1": "f1score",
            "mae": "meanabsoluteerror",
            "mse": "meansquarederror",
            "rmse": "rootmeansquarederror",
            "r2": "rsquared r2score",
        }
    ),
    "schedule": _by_word(
        {
            "step(epochs: 5)": "steplr exponential exponentiallr exponentialdecay multistep piecewise",
            "cosine": "cosineannealing cosineannealinglr cosinedecay",
            "warmup": "linear linearlr linearwarmup",
        }
    ),
    "source": _by_word(
        {
            "csv": "readcsv loadcsv tsv",
            "parquet": "readparquet",
            "json": "readjson jsonl",
            "libsvm": "svmlight",
            "images": "imagefolder imagedatasetfromdirectory",
            "audio": "audiofolder",
            "text": "textfile",
            "table": "sql hive delta",
            "digits": "mnist loaddigits",
            "iris": "loadiris",
            "wine": "loadwine",
            "breast_cancer": "loadbreastcancer",
            "diabetes": "loaddiabetes",
        }
    ),
    "input": _by_word(
        {
            "float": "int int8 uint8 float16 float32 float64 double number real vector image tensor array sequence "
            "matrix bool binary",
            "token": "text string words ids index int32 int64 long category categorical class",
        }
    ),
    "output": _by_word(
        {
            "class": "label labels category categorical softmax int multiclass",
            "bool": "binary multilabel sigmoid",
            "float": "regression number real double float32 vector image",
        }
    ),
}
"""A word where one of a few is asked for, by the argument or the key, and the word that is meant."""

KEYS: dict[str, dict[str, str]] = {
    "train": _by_word(
        {
            "optimizer = {optimizer}(lr: {value})": "lr learningrate baselr eta",
            "optimizer = sgd(momentum: {value})": "momentum",
            "optimizer = {optimizer}(weight_decay: {value})": "weightdecay",
            "optimizer = {value}": "optim optimiser solver algorithm",
            "batch = {value}": "batchsize minibatch minibatchsize",
            "epochs = {value}": "epoch numepochs nepochs nbepoch maxepochs numtrainepochs",
            "steps = {value}": "iterations iters maxiter maxsteps numsteps numiterations niter",
            "loss = {value}": "criterion lossfn lossfunction objective",
            "weights = {value}": "lossweights",
            "class_weights = {value}": "classweight",
            "metrics = {value}": "metric",
            "clip = norm({value})": "clipnorm gradclip gradientclip gradientclipval maxgradnorm globalclipnorm",
            "clip = value({value})": "clipvalue gradclipvalue",
            "schedule = {value}": "scheduler lrscheduler lrschedule lrpolicy",
            "accumulate = {value}": "gradientaccumulationsteps accumulategradbatches accumulationsteps itersize",
            "workers = {value}": "numworkers nworkers executors replicas",
            "augment = {value}": "augmentation augmentations dataaugmentation transform transforms",
            "balance = {value}": "balanced oversample balancedsampler",
            "seed = {value}": "randomseed randomstate manualseed",
        }
    ),
    "data": _by_word(
        {
            "split = {{train: 0.8, test: 0.2}}": "validationsplit testsplit trainsplit validationsize testsize",
            "row_weight = {value}": "weight sampleweight sampleweights weightcol rowweights instanceweight",
            "source = {source}": "path file filename filepath dataset url table",
            "train = {source}": "training",
            "validation = {source}": "val valid eval dev",
            "test = {source}": "testing",
        }
    ),
    "predict": _by_word(
        {
            "input = {source}": "source data path file",
            "output = {value}": "to out save target",
            "keep = {value}": "columns select",
        }
    ),
}
"""A key of a section, and the line to write."""

NEEDLESS = _by_word(
    {
        "rows are shuffled anew in every epoch, as `seed` says: remove this line": "shuffle",
        "every round is reported: remove this line": "verbose",
        "training runs on processors: remove this line": "device gpu gpus cuda accelerator",
        "all numbers are float32: remove this line": "dtype precision fp16",
    }
)
"""Keys that have no counterpart, and why none is needed."""
