from leansr.cli import main

main()
