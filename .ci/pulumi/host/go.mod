module queue-fundamentals/pulumi-language-python

go 1.22

require github.com/pulumi/pulumi/sdk/v3 v3.75.0
